package codec

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// task is what a call sends: an interface that holds a generic struct that holds the function.
type task interface {
	Run(ctx context.Context) (any, error)
}

type thunk[T any] struct {
	fn func(context.Context) (T, error)
}

func (f thunk[T]) Run(ctx context.Context) (any, error) {
	v, err := f.fn(ctx)
	return &v, err
}

// run sends a function as a call does, runs what arrives and returns its result.
func run[T any](t *testing.T, fn func(context.Context) (T, error)) T {
	t.Helper()
	var f task = thunk[T]{fn}
	if err := Check(&f); err != nil {
		t.Fatalf("check: %v", err)
	}
	got, err := cross(t, f, Trusted).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return *got.(*T)
}

type account struct {
	name    string
	balance int
	history []int
	next    *account
}

func (a *account) total() int {
	sum := a.balance
	for _, h := range a.history {
		sum += h
	}
	return sum
}

func (a account) label() string { return a.name + "!" }

func plain(context.Context) (string, error) { return "top level", nil }

//go:noinline
func pair[A, B any](a A, b B) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return fmt.Sprint(a, "/", b), nil }
}

func TestN01_closuresRunWithWhatTheyCaptured(t *testing.T) {
	acc := &account{name: "ada", balance: 10, history: []int{1, 2, 3}}
	acc.next = acc
	counter := 0
	counter++
	big := [40]int{39: 5}
	words := []string{"x", "y"}
	byName := map[string]*account{"ada": acc}
	inner := func(n int) int { return n + acc.balance + counter }
	var shape fmt.Stringer = named("shape")
	method, value := acc.total, acc.label

	for name, fn := range map[string]func(context.Context) (string, error){
		"top level":    plain,
		"nothing":      func(context.Context) (string, error) { return "nothing", nil },
		"by value":     func(context.Context) (string, error) { return fmt.Sprint(words, len(big)), nil },
		"by reference": func(context.Context) (string, error) { counter++; return fmt.Sprint(counter), nil },
		"pointer":      func(context.Context) (string, error) { return fmt.Sprint(acc.total(), acc.next == acc), nil },
		"map":          func(context.Context) (string, error) { return fmt.Sprint(byName["ada"] == acc), nil },
		"nested":       func(context.Context) (string, error) { return fmt.Sprint(inner(3)), nil },
		"interface":    func(context.Context) (string, error) { return shape.String(), nil },
		"array":        func(context.Context) (string, error) { return fmt.Sprint(big), nil },
		"method":       func(context.Context) (string, error) { return fmt.Sprint(method(), value()), nil },
		"generic":      pair(acc.balance, "text"),
	} {
		t.Run(name, func(t *testing.T) {
			before := counter
			got := run(t, fn)
			if counter != before {
				t.Errorf("what the function assigned came back")
			}
			want, _ := fn(t.Context())
			counter = before
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

type named string

func (n named) String() string { return string(n) }

func TestRefusedClosure_saysWhereAndWhy(t *testing.T) {
	ch := make(chan int)
	fn := func(context.Context) (int, error) { return <-ch, nil }
	var f task = thunk[int]{fn}
	for _, err := range []error{Check(&f), func() error { _, err := Encode(&f, Options{}); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "TestRefusedClosure_saysWhereAndWhy.func1 (closure_test.go:") ||
			!strings.Contains(err.Error(), "): captured chan int: a channel crosses in one direction") {
			t.Errorf("got %v", err)
		}
	}
}
