package codec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// Types 1 and on in the messages of errors.
const (
	toPath = iota + 1
	pathError
	toJoined
	joined
	quoted
	toChained
	chainedType
	toAssertion
	assertion
)

func errorMessage(objects ...piece) forged {
	join := reflect.TypeOf(errors.Join(io.EOF))
	return forged{types: append(types(into[*fs.PathError](), into[fs.PathError](), reflect.New(join).Interface(), reflect.New(join.Elem()).Interface(),
		into[quoting](), into[*chained](), into[chained](), into[*runtime.TypeAssertionError](), into[runtime.TypeAssertionError]()), reflect.TypeFor[error]()), objects: objects}
}

// pathErrors are a chain of n of them that begins at object 1 and ends with what last is; all have one text.
func pathErrors(n int, textSize int, last []byte) []piece {
	all := []piece{one(0, face(toPath, formWord, ref(1)))}
	for i := range n {
		inner := face(toPath, formWord, ref(i+2))
		if i == n-1 {
			inner = last
		}
		op := u(1)
		if i == 0 {
			op = textOfWire(strings.Repeat("x", textSize))
		}
		all = append(all, one(pathError, op, textOfWire(""), inner))
	}
	return all
}

// joinedTwice are errors of which each joins the next with itself.
func joinedTwice(n int) []piece {
	all := []piece{one(0, face(toJoined, formWord, ref(1)))}
	for i := range n {
		next := face(toJoined, formWord, ref(2*i+3))
		if i == n-1 {
			next = face(quoted, formBox, ref(2*n+1))
		}
		all = append(all, one(joined, sliceOf(2*i+2, 2, 0)), piece{head(kindMany, assertion+1, 2), cat(next, next)})
	}
	return append(all, one(quoted, u(faceNil)))
}

// quotes are errors of which each quotes the next.
func quotes(n int) []piece {
	all := []piece{one(0, face(quoted, formBox, ref(1)))}
	for i := range n {
		all = append(all, one(quoted, face(quoted, formBox, ref(i+2))))
	}
	return append(all, one(quoted, u(faceNil)))
}

func chainOf(n int) []piece {
	all := []piece{one(0, face(toChained, formWord, ref(1)))}
	for i := range n {
		all = append(all, one(chainedType, ref(i+2)))
	}
	return append(all, one(chainedType, u(tagNil)))
}

var errorAttacks = []struct {
	name  string
	as    forged
	error string
}{
	{"an error that wraps itself", errorMessage(pathErrors(1, 70, face(toPath, formWord, ref(1)))...), "leads back to it"},
	{"errors that wrap each other", errorMessage(pathErrors(5, 70, face(toPath, formWord, ref(2)))...), "leads back to it"},
	{"an error whose method does not return", errorMessage(one(0, face(toChained, formWord, ref(1))), one(chainedType, ref(1))), "leads back to it"},
	{"a chain too long for a stack", errorMessage(chainOf(100_000)...), "leads"},
	{"wrapped too deep", errorMessage(pathErrors(100_000, 70, u(faceNil))...), "leads"},
	{"a long text said by every error around it", errorMessage(pathErrors(500, 1<<20, face(toPath, formWord, u(tagNil)))...), "again and again"},
	{"an error with very many ways to its end", errorMessage(joinedTwice(60)...), "again and again"},
	{"an error that quotes what quotes", errorMessage(quotes(60)...), "again and again"},
	{"a nil pointer", errorMessage(one(0, face(toPath, formWord, u(tagNil)))), "the Error method of a *fs.PathError panics"},
	{"a nil pointer that is wrapped", errorMessage(pathErrors(1, 70, face(toPath, formWord, u(tagNil)))...), "the Error method of a *fs.PathError panics"},
	{"types that the runtime asks for their names", errorMessage(one(0, face(toAssertion, formWord, ref(1))), one(assertion, ref(1), u(0), u(0), u(0))), "none that may be in this result"},
	{"a sentinel without a copy", errorMessage(one(0, u(faceSentinel, 4096, faceNil))), "a sentinel without a copy"},
	{"a sentinel far away", errorMessage(one(0, u(faceSentinel, far), face(quoted, formBox, ref(1))), one(quoted, u(faceNil))), ""},
	{"a sentinel that is none", errorMessage(one(0, u(faceSentinel, 4096), face(quoted, formBox, ref(1))), one(quoted, u(faceNil))), ""},
	{"a shallow one is fine", errorMessage(pathErrors(5, 70, face(quoted, formBox, ref(6)))...), "there is no object 6"},
	{"some ways to the end are fine", errorMessage(joinedTwice(5)...), ""},
	{"some quotes are fine", errorMessage(quotes(5)...), ""},
}

func TestAttacks_byErrorsMeetTheirRefusal(t *testing.T) {
	for _, err := range errorsInUse {
		if errorTypes().at(planOf(reflect.TypeOf(err)).off) == nil {
			t.Errorf("a %T is not known as an error: attacks with it come to nothing", err)
		}
	}
	for _, a := range errorAttacks {
		t.Run(a.name, func(t *testing.T) {
			err, failed := DecodeError(a.as.bytes(t), Untrusted)
			if (failed == nil) != (a.error == "") || failed != nil && !strings.Contains(failed.Error(), a.error) {
				t.Errorf("got %v", failed)
			}
			if failed == nil && (err == nil || errors.Is(err, io.EOF) || len(err.Error()) > 200) {
				t.Errorf("it is %v", err)
			}
		})
	}
}

func TestAttacks_aFakeSentinelIsNotTheProgramsOwn(t *testing.T) {
	im, err := image.Self()
	if err != nil {
		t.Fatal(err)
	}
	own := io.EOF
	w := words(unsafe.Pointer(&own))
	off, ok := im.Variable(uintptr(w[0]), uintptr(w[1]))
	if !ok {
		t.Skip("io.EOF is not found in a program built like this")
	}
	to := reflect.TypeOf(own)
	for text, same := range map[string]bool{"EOF": true, "eof": false, "": false} {
		fake := forged{types: []reflect.Type{to, to.Elem()}, objects: []piece{one(0, u(faceSentinel, int(off)), face(1, formWord, ref(1))), one(2, textOfWire(text))}}
		got, err := DecodeError(fake.bytes(t), Untrusted)
		if err != nil || (got == io.EOF) != same {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestN3_AVeryDeepErrorSaysTheSame(t *testing.T) {
	for _, depth := range []int{20, 100, 1000} {
		err := io.EOF
		for i := range depth {
			err = fmt.Errorf("step %d: %w", i, err)
		}
		msg, failed := EncodeError(err, Options{})
		if failed != nil {
			t.Fatal(failed)
		}
		back, failed := DecodeError(join(msg), Untrusted)
		if failed != nil || back.Error() != err.Error() {
			t.Errorf("%d: %v, %v", depth, back, failed)
		}
		if depth <= 100 && !errors.Is(back, io.EOF) {
			t.Errorf("%d: it is no io.EOF any more", depth)
		}
	}
}

// volumes are messages that are as large in memory as one of their length can be.
var volumes = []struct {
	name  string
	into  any
	as    forged
	error string
}{
	{"objects without size", into[*struct{}](), forged{types: types(into[struct{}]()), objects: append([]piece{one(0, u(tagNil))}, slices.Repeat([]piece{flat(1)}, 100_000)...)}, ""},
	{"empty maps", into[map[string]int](), forged{objects: append([]piece{one(0, u(tagNil))}, slices.Repeat([]piece{{head: head(kindMap, 0, 0)}}, 100_000)...)}, ""},
	{"maps of one", into[map[bool][5][]int](), forged{objects: append([]piece{one(0, u(tagNil))}, slices.Repeat([]piece{{head(kindMap, 0, 1), make([]byte, 6)}}, 50_000)...)}, ""},
	{"a map", into[map[any][]int](), forged{objects: []piece{one(0, ref(1)), {head(kindMap, 0, 100_000), make([]byte, 200_000)}}}, ""},
	{"no strings", into[[]string](), forged{types: types(into[string]()), objects: []piece{one(0, sliceOf(1, 1, 0)), {head(kindMany, 1, 500_000), make([]byte, 500_000)}}}, ""},
	{"tables", into[[]sync.Map](), forged{types: types(into[sync.Map](), into[mapEntry]()), objects: []piece{one(0, sliceOf(1, 1, 0)), {head(kindMany, 1, 100_000), make([]byte, 100_000)}}}, ""},
	{"the same entries for many tables", into[[]sync.Map](), forged{types: types(into[sync.Map](), into[mapEntry]()), objects: []piece{
		one(0, sliceOf(1, 1, 0)), {head(kindMany, 1, 10_000), times(10_000, sliceOf(2, 10_000, 0))}, {head(kindMany, 2, 10_000), make([]byte, 20_000)},
	}}, "there cannot be"},
	{"one long text for many keys", into[map[string]bool](), forged{types: types(into[[]string](), into[string]()), objects: []piece{
		one(0, ref(1)), {head(kindMap, 0, 100_000), cat(textOfWire(strings.Repeat("x", 1<<20)), times(99_999, u(1)), make([]byte, 100_000))},
	}}, "again and again"},
	{"one list of changes for many zones", into[[]*time.Location](), forged{types: append(types(into[*time.Location](), into[time.Location]()), zoneParts()...), objects: []piece{
		one(0, u(tagNil)),
		{head(kindMany, 2, 2_000), times(2_000, cat(textOfWire(""), sliceOf(2, 1, 0), sliceOf(3, 20_000, 0), textOfWire(""), make([]byte, 17)))},
		one(3, textOfWire("Z"), make([]byte, 9)),
		{head: cat(head(kindMany, 4, 20_000), u(0), make([]byte, 16*20_000))},
	}}, "again and again"},
	{"errors", into[[]error](), forged{types: types(into[error](), into[quoting]()), objects: []piece{
		one(0, sliceOf(1, 1, 0)), {head(kindMany, 1, 50_000), times(50_000, face(2, formBox, ref(2)))}, one(2, u(faceNil)),
	}}, ""},
	{"pointers into what the executable may have too", into[[]*int](), forged{types: types(into[*int](), into[int]()), objects: []piece{
		one(0, sliceOf(2, 1, 0)), {head: cat(head(kindTwin, 2, 4096), make([]byte, 8))}, {head(kindMany, 1, 100_000), times(100_000, ref(1))},
	}}, ""},
}

// zoneParts are the types of what a time zone is made of.
func zoneParts() []reflect.Type {
	zone, _ := locationType.FieldByName("zone")
	changes, _ := locationType.FieldByName("tx")
	return []reflect.Type{zone.Type.Elem(), changes.Type.Elem()}
}

const (
	mostPerByte = 200      // bytes of memory that a byte of a message may take
	mostAtOnce  = 64 << 10 // and what any message may
	mostToAsk   = 8 << 20  // and what one may that has errors or keys that are asked
)

// taken returns how many bytes are allocated to decode.
func taken(data []byte, into any) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = Decode(data, into, Untrusted)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAttacks_takeNoMoreMemoryThanTheirLengthPaysFor(t *testing.T) {
	check := func(name string, data []byte, into any, spare int) {
		taken(data, reflect.New(reflect.TypeOf(into).Elem()).Interface()) // what is found out of its types is kept
		start := time.Now()
		n := taken(data, reflect.New(reflect.TypeOf(into).Elem()).Interface())
		if most := uint64(len(data)*mostPerByte + spare); n > most {
			t.Errorf("%s: %d bytes for %d, which are %d for each", name, n, len(data), n/uint64(len(data)))
		}
		t.Logf("%s: %d bytes for %d, %d for each, %v", name, n, len(data), n/uint64(len(data)), time.Since(start))
	}
	for _, a := range attacks {
		check(a.name, a.as.bytes(t), a.into, mostAtOnce)
	}
	for _, a := range errorAttacks {
		check(a.name, a.as.bytes(t), new(error), mostToAsk)
	}
	for _, v := range volumes {
		data := v.as.bytes(t)
		check(v.name, data, v.into, mostToAsk)
		err := Decode(data, reflect.New(reflect.TypeOf(v.into).Elem()).Interface(), Untrusted)
		if (err == nil) != (v.error == "") || err != nil && !strings.Contains(err.Error(), v.error) {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}
