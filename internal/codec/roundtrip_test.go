package codec

import (
	"reflect"
	"testing"
)

// join makes one of a message's parts, as a connection does.
func join(m Message) (data []byte) {
	for _, part := range m {
		data = append(data, part...)
	}
	return data
}

// cross sends a value and returns what arrives.
func cross[T any](t *testing.T, v T, trust Trust) T {
	t.Helper()
	var back T
	msg, err := Encode(&v, Options{})
	if err != nil {
		t.Fatalf("encode %T: %v", v, err)
	}
	if err := Decode(join(msg), &back, trust); err != nil {
		t.Fatalf("decode %T: %v", v, err)
	}
	return back
}

// both runs a test with both kinds of trust.
func both(t *testing.T, f func(t *testing.T, trust Trust)) {
	t.Run("trusted", func(t *testing.T) { f(t, Trusted) })
	t.Run("untrusted", func(t *testing.T) { f(t, Untrusted) })
}

type point struct {
	x, y  int
	label string
	ok    bool
}

func TestPlainValues_arriveEqual(t *testing.T) {
	n := 7
	values := []any{
		1, "text", 2.5, true,
		[]int{1, 2, 3},
		[]string{"a", ""},
		point{1, 2, "p", true},
		&point{3, 4, "q", false},
		map[string]int{"a": 1},
		map[point]*int{{x: 1}: &n},
		[3]string{"a", "b", "c"},
		[9]*int{1: &n, 8: &n},
	}
	for _, v := range values {
		t.Run(reflect.TypeOf(v).String(), func(t *testing.T) {
			// given a variable of the value's own type, when it crosses
			p := reflect.New(reflect.TypeOf(v))
			p.Elem().Set(reflect.ValueOf(v))
			msg, err := Encode(p.Interface(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, trust := range []Trust{Trusted, Untrusted} {
				back := reflect.New(p.Type().Elem())
				if err := Decode(join(msg), back.Interface(), trust); err != nil {
					t.Fatal(err)
				}
				// then what arrives is equal
				if !reflect.DeepEqual(back.Elem().Interface(), v) {
					t.Errorf("got %v, want %v", back.Elem(), v)
				}
			}
		})
	}
}
