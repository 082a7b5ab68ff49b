module github.com/fleetinglambda/flame/examples

go 1.26

replace github.com/fleetinglambda/flame => ../
