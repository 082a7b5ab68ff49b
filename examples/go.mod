module github.com/fleetinglambda/flame/examples

go 1.26

replace github.com/fleetinglambda/flame => ../

require (
	github.com/schollz/progressbar/v3 v3.19.1
	golang.org/x/sync v0.16.0
	golang.org/x/term v0.47.0
)
