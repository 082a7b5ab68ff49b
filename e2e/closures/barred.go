package main

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
)

// refusal is a closure that must not cross, and a part of what its error says.
type refusal struct {
	shape
	reason string
}

type guarded struct {
	sync.Mutex
	n int
}

func barred() []refusal {
	functions, plain := make(chan func(), 1), make(chan int, 1)
	locked, counter, wg := &guarded{n: 1}, new(atomic.Int64), new(sync.WaitGroup)
	word := "w"
	file := os.Stdin
	raw := reflect.ValueOf(&word).UnsafePointer()
	_, cancel := context.WithCancel(context.Background())
	made := reflect.MakeFunc(reflect.TypeOf(func() string { return "" }), func([]reflect.Value) []reflect.Value {
		return []reflect.Value{reflect.ValueOf(word)}
	}).Interface().(func() string)
	once := sync.OnceValue(func() string { return word })
	stranger := &server{name: "stranger"}
	replace := strings.NewReplacer("p", "q").Replace
	return []refusal{
		{shape{"channel of functions", func() string { return fmt.Sprint(cap(functions)) }}, "chan"},
		{shape{"channel", func() string { return fmt.Sprint(cap(plain)) }}, "chan"},
		{shape{"struct with a mutex", func() string { return fmt.Sprint(locked.n) }}, "PerProcess"},
		{shape{"atomic", func() string { return fmt.Sprint(counter.Load()) }}, "goroutines"},
		{shape{"sync.WaitGroup", func() string { wg.Wait(); return "waited" }}, "goroutines"},
		{shape{"file", func() string { return file.Name() }}, "File"},
		{shape{"unsafe.Pointer", func() string { return fmt.Sprint(raw == nil) }}, "unsafe.Pointer"},
		{shape{"context.CancelFunc", func() string { cancel(); return "cancelled" }}, "context"},
		{shape{"reflect.MakeFunc", func() string { return made() }}, "reflect"},
		{shape{"sync.OnceValue", once}, "sync"},
		{shape{"method value of a struct with a lock", func() string { return replace("p") }}, "sync.Once"},
		{shape{"generic, struct with a mutex", holdOut(locked)}, "PerProcess"},
		{shape{"generic, slice of structs with a mutex", holdOut([]*guarded{locked})}, "PerProcess"},
		{shape{"generic, channel", holdOut(plain)}, "chan"},
		{shape{"generic, file in an interface", holdOut(any(file))}, "File"},
		{shape{"a server that is not the one of this process", func() string { return stranger.name }}, "PerProcess"},
		{shape{"generic, two pointers of one shape", field(&point{7, 8, "pt"}, func(p *point) *int { return &p.X })}, "*int or *main.point"},
		{shape{"generic, array by reference", holdOut([50]int{49: 50})}, "type parameters"},
	}
}
