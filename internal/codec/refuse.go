package codec

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// refusal is why variables of a type cannot cross.
type refusal struct {
	path   string // to the culprit, from the type that was asked about
	typ    reflect.Type
	reason string
	shared bool // it is, or has in it, what goroutines share: behind a pointer PerProcess is the way out
}

const (
	whyLock    = "it is for goroutines of one process"
	whyHandle  = "it belongs to this process: open it inside the function"
	whyNotYet  = " cannot cross yet: "
	wayLock    = whyLock + ": leave it out of what the function captures"
	wayTimer   = "timers run in one process: make it inside the function"
	wayTest    = "tests run in one process: use what it knows outside the function, or return an error"
	wayLogger  = "a logger" + whyNotYet + "declare it: flame.PerProcess(\"log\", logger)"
	wayStream  = "only Read, Write, Seek, Close, ReadAt and WriteAt of a stream can be called from a runner: hold it as an io.Reader, io.Writer or the like"
	wayFile    = "a file is open in this process only: open it inside the function, or hold it as an io.Reader, io.Writer or the like: in := struct{ io.Reader }{file}"
	wayShared  = whyLock + ": lock, wait and count where the function returns"
	wayPool    = "a pool belongs to its parent: return what is to be called next, or open one inside the function"
	wayContext = "a context belongs to this process: use the ctx that the function receives"
	wayHandle  = "unique.Handle, weak.Pointer and hash seeds mean nothing in another process: capture the value itself"
	wayType    = "it describes a type or a function of this program's code: capture a reflect.Type or the name"
	wayUnsafe  = "what it points to is not known: capture a typed pointer"
)

// refusedTypes are types by package and name.
var refusedTypes = map[string]string{
	"context.Context":                      wayContext,
	"context.CancelFunc":                   "it ends a context of this process: cancel the ctx given to the call",
	"context.CancelCauseFunc":              "it ends a context of this process: cancel the ctx given to the call",
	"time.Timer":                           wayTimer,
	"time.Ticker":                          wayTimer,
	"os.File":                              wayFile,
	"os.file":                              wayFile,
	"os.Process":                           whyHandle,
	"os.Root":                              whyHandle,
	"os/exec.Cmd":                          whyHandle,
	"net.Conn":                             "a connection is open in this process only: dial inside the function",
	"net.Listener":                         "a listener is open in this process only: listen inside the function",
	"net.conn":                             "a connection is open in this process only: dial inside the function",
	"net.TCPListener":                      "a listener is open in this process only: listen inside the function",
	"net.UnixListener":                     "a listener is open in this process only: listen inside the function",
	"github.com/fleetinglambda/flame.Pool": wayPool,
	"net/http.ResponseWriter":              "an http.ResponseWriter answers in this process: hold it as an io.Writer: out := struct{ io.Writer }{w}",
	"net/http.Client":                      "a client's connections belong to this process: make one inside the function, or PerProcess",
	"testing.T":                            wayTest,
	"testing.B":                            wayTest,
	"testing.F":                            wayTest,
	"testing.TB":                           wayTest,
	"testing.M":                            wayTest,
	"log/slog.Logger":                      wayLogger,
	"log.Logger":                           wayLogger,
	"runtime.Func":                         wayType,
	"reflect.Value":                        "it points into this process: capture the value itself",
	"hash/maphash.Seed":                    wayHandle,
	"hash/maphash.Hash":                    wayHandle,
}

// refuse says why a variable of type t itself cannot cross; "" if it may, perhaps in part.
func refuse(t reflect.Type) string {
	if why, ok := refusedTypes[t.PkgPath()+"."+t.Name()]; ok {
		return why
	}
	switch t.Kind() {
	case reflect.Chan:
		if t.ChanDir() == reflect.BothDir {
			return fmt.Sprintf("a channel crosses in one direction: var progress chan<- %v = ch, and capture progress, or var in <-chan %v = ch", t.Elem(), t.Elem())
		}
	case reflect.UnsafePointer:
		return wayUnsafe
	case reflect.Uintptr:
		if strings.HasPrefix(t.Name(), "_Ctype_") {
			return wayUnsafe
		}
	case reflect.Interface:
		if isStream(t) {
			return wayStream
		}
	case reflect.Struct:
		return refuseStruct(t)
	}
	return ""
}

func refuseStruct(t reflect.Type) string {
	switch name := t.PkgPath() + "." + t.Name(); {
	case isLock(t):
		return wayLock
	case t.PkgPath() == "internal/abi":
		return wayType
	case strings.HasPrefix(name, "unique.Handle["), strings.HasPrefix(name, "weak.Pointer["):
		return wayHandle
	case t.PkgPath() == "context" && strings.HasSuffix(t.Name(), "Ctx"):
		return wayContext
	case t.PkgPath() == "internal/poll" && t.Name() == "FD":
		return whyHandle
	}
	return ""
}

// staysBehind says whether a field of a struct that crosses does not. An *http.Request and an *http.Response come without
// what belongs to their connection, the latter also without the request that it answers.
func staysBehind(t reflect.Type, field string) bool {
	if t.PkgPath() != "net/http" {
		return false
	}
	switch t.Name() {
	case "Request":
		return field == "TLS" || field == "Cancel" || field == "Response" || field == "GetBody"
	case "Response":
		return field == "TLS" || field == "Request"
	}
	return false
}

// isLock says whether t is of those that goroutines share.
func isLock(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	switch t.PkgPath() {
	case "sync", "sync/atomic", "internal/sync", "internal/race":
		return true
	}
	return false
}

// streamMethods are what the interfaces of package io are made of.
var streamMethods = []string{
	"Read", "Write", "Close", "Seek", "ReadAt", "WriteAt", "ReadFrom", "WriteTo", "WriteString",
	"ReadByte", "UnreadByte", "ReadRune", "UnreadRune", "WriteByte",
}

// isStream says whether an interface type asks for methods of package io and no others.
func isStream(t reflect.Type) bool {
	for i := range t.NumMethod() {
		if m := t.Method(i); !slices.Contains(streamMethods, m.Name) {
			return false
		}
	}
	return t.NumMethod() > 0
}
