// Package bench compares flame with other ways to have a second process answer, in one run on one machine.
//
// Each benchmark has a reference beside it: raw frames on a socket, net/rpc, gRPC, a bare spawn, gob. Both take
// turns, round after round, and what counts is the ratio, never the figure of one of them alone. Everything
// answers in a second process, which is the test binary itself; only encoding and decoding need none. Run all with
//
//	go test -run '^$' -bench . -benchtime 1x
//
// from this folder, or "make bench" from the top.
package bench
