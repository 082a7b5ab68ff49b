module github.com/fleetinglambda/flame/e2e

go 1.26

replace github.com/fleetinglambda/flame => ../
