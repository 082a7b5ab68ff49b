package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/fleetinglambda/flame"
)

// compare runs every shape here and on a runner. It says what differs, what is refused, and a line of figures for each
// kind of capture.
func compare(pool *flame.Pool, say func(string)) (ok bool) {
	shapes, wrong, refused := 0, 0, 0
	for _, k := range kinds() {
		w, r := 0, 0
		for _, s := range k.shapes {
			err := cross(pool, s)
			var send *flame.SendError
			switch {
			case errors.As(err, &send) && !flame.Ran(err) && explained(send.Reason):
				r++
				say(fmt.Sprintf("refused %s: %v", s.name, err))
			case err != nil:
				w++
				say(fmt.Sprintf("WRONG %s: %v", s.name, err))
			}
		}
		say(fmt.Sprintf("kind\t%s\t%d\t%d\t%d", k.name, len(k.shapes)-w-r, r, w))
		shapes, wrong, refused = shapes+len(k.shapes), wrong+w, refused+r
	}
	bars, crossed := barred(), 0
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
	say(fmt.Sprintf("%d shapes, %d wrong, %d refused", shapes, wrong, refused))
	say(fmt.Sprintf("%d barred, %d crossed", len(bars), crossed))
	return wrong+crossed == 0
}

// explained says whether a refusal is one that docs/closures.md explains. The code of generic functions is shared by types
// of one shape, and sometimes the program does not say which of them a closure has captured.
func explained(reason string) bool {
	return strings.HasPrefix(reason, "it is generic, and in what it captured ") ||
		strings.HasPrefix(reason, "its type is made of type parameters and stands nowhere in the program: ")
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
	for i := range 500 {
		kept = append(kept, bytes.Repeat([]byte{0xdb}, 8+7*i%512))
	}
	kept = nil
}
