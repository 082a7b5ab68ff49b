package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/fleetinglambda/flame"
)

// compare runs every shape here and on a runner, and says which differ and which are refused.
func compare(pool *flame.Pool, say func(string)) (ok bool) {
	wrong, refused := 0, 0
	all, bars := shapes(), barred()
	for _, s := range all {
		if why := owed()[s.name]; why != "" {
			say(fmt.Sprintf("owed %s: %s", s.name, why))
			continue
		}
		err := cross(pool, s)
		var send *flame.SendError
		switch {
		case errors.As(err, &send):
			refused++
			say(fmt.Sprintf("REFUSED %s: %v", s.name, err))
		case err != nil:
			wrong++
			say(fmt.Sprintf("WRONG %s: %v", s.name, err))
		}
	}
	crossed := 0
	for _, b := range bars {
		err := cross(pool, b.shape)
		var send *flame.SendError
		if !errors.As(err, &send) || flame.Ran(err) || !strings.Contains(err.Error(), b.reason) {
			crossed++
			say(fmt.Sprintf("WRONG %s: not refused for %q: %v", b.name, b.reason, err))
			continue
		}
		say(fmt.Sprintf("barred %s: %v", b.name, err))
	}
	say(fmt.Sprintf("%d shapes, %d wrong, %d refused", len(all), wrong, refused))
	say(fmt.Sprintf("%d barred, %d crossed", len(bars), crossed))
	return wrong+refused+crossed == 0
}

// answer is what a shape returned, and where.
type answer struct {
	text string
	pid  int
}

// cross compares what a shape returns here with what it returns on a runner, at once and after collections of garbage.
func cross(pool *flame.Pool, s shape) error {
	for _, pressure := range []bool{false, true} {
		got, err := flame.Call(context.Background(), pool, func(context.Context) (answer, error) {
			if pressure {
				litter()
			}
			return answer{s.fn(), os.Getpid()}, nil
		})
		if err != nil {
			return err
		}
		if got.pid == os.Getpid() {
			return errors.New("it ran in this very process")
		}
		if want := s.fn(); got.text != want {
			return fmt.Errorf("%q on the runner, %q here (litter: %v)", got.text, want, pressure)
		}
	}
	return nil
}

// kept makes sure that litter is on the heap.
var kept [][]byte

// litter frees what nothing refers to and writes over it.
func litter() {
	runtime.GC()
	for i := range 2000 {
		b := make([]byte, 8+i%512)
		for j := range b {
			b[j] = 0xdb
		}
		kept = append(kept, b)
	}
	kept = nil
	runtime.GC()
}
