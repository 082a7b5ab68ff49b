//go:build large

package main

import (
	_ "net/http" // code as a server has it
	"os"

	_ "google.golang.org/grpc"
)

// The rest is read-only data, as a program has it that embeds files.
const (
	line  = "0123456789abcdef0123456789ABCDEF0123456789ghijkl0123456789GHIJK\n"
	kib1  = line + line + line + line + line + line + line + line + line + line + line + line + line + line + line + line
	kib8  = kib1 + kib1 + kib1 + kib1 + kib1 + kib1 + kib1 + kib1
	kib64 = kib8 + kib8 + kib8 + kib8 + kib8 + kib8 + kib8 + kib8
	mib1  = kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64 + kib64
	mib8  = mib1 + mib1 + mib1 + mib1 + mib1 + mib1 + mib1 + mib1
	mib40 = mib8 + mib8 + mib8 + mib8 + mib8
)

// Padding keeps the data in the executable.
var Padding = mib40[len(os.Args):]
