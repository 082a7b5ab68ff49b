module github.com/fleetinglambda/flame/bench

go 1.26

replace github.com/fleetinglambda/flame => ../
