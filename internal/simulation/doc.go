// Package simulation plays whole lives of a pool in virtual time: calls, streams, channels, maps and placed work on runners
// that die, stall, hang and fail to boot, in any order. After each life every outcome is held against what the functions
// really did. It is all tests.
package simulation
