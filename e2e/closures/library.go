package main

import (
	"bytes"
	"container/list"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"iter"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"text/template/parse"
	"time"
	"unicode"
)

// codeError is an error type of the program.
type codeError struct {
	code int
	at   *point
}

func (e *codeError) Error() string { return fmt.Sprint("code ", e.code, " at ", e.at.name) }

func users() []shape {
	words, vowels := []string{"pear", "fig", "apple"}, "aeiou"
	byLength := func(a, b string) int { return len(a) - len(b) }
	isVowel := func(r rune) bool { return strings.ContainsRune(vowels, r) }
	shift := 1
	rot := func(r rune) rune { return r + rune(shift) }
	less := sort.Reverse(sort.StringSlice(words)).Less
	keys, values := maps.Keys(map[string]int{"one": 1}), slices.Values(words)
	chunks := slices.Chunk(words, 2)
	split := strings.SplitSeq("a,b,c", ",")
	not := func(f func(rune) bool) func(rune) bool { return func(r rune) bool { return !f(r) } }
	collect := func(seq iter.Seq[string]) string { return strings.Join(slices.Collect(seq), "|") }
	return []shape{
		{"for slices.SortFunc", func() string { w := slices.Clone(words); slices.SortStableFunc(w, byLength); return fmt.Sprint(w) }},
		{"for sort.Search", func() string { return fmt.Sprint(sort.Search(10, func(i int) bool { return i > len(words) })) }},
		{"from sort.Reverse", func() string { return fmt.Sprint(less(0, 1), less(1, 0)) }},
		{"for strings.FieldsFunc", func() string { return fmt.Sprint(strings.FieldsFunc("banana", isVowel)) }},
		{"for strings.Map", func() string { return strings.Map(rot, "HAL") }},
		{"for bytes.IndexFunc", func() string { return fmt.Sprint(bytes.IndexFunc([]byte("xyz o"), isVowel)) }},
		{"for bytes.TrimFunc", func() string { return string(bytes.TrimFunc([]byte("12ab3"), not(unicode.IsLetter))) }},
		{"from maps.Keys", func() string { return collect(keys) }},
		{"from slices.Values", func() string { return collect(values) }},
		{"from slices.Chunk", func() string { return fmt.Sprint(slices.Collect(chunks)) }},
		{"from strings.SplitSeq", func() string { return collect(split) }},
		{"function of another package", func() string { return strconv.Quote(strings.Title("x y")) }}, //nolint:staticcheck // any function will do
	}
}

func values() []shape {
	l := list.New()
	l.PushBack("a")
	l.PushFront("b")
	addr, prefix := netip.MustParseAddr("fe80::1%eth0"), netip.MustParsePrefix("10.0.0.0/8")
	random := rand.New(rand.NewPCG(1, 2))
	header, query := http.Header{"A": {"b"}}, url.Values{"q": {"1", "2"}}
	ratio, pi := big.NewRat(1, 3), new(big.Float).SetPrec(100).SetFloat64(3.25)
	picture := image.NewRGBA(image.Rect(0, 0, 2, 2))
	picture.Set(1, 1, color.RGBA{1, 2, 3, 255})
	encoding, raw := base64.URLEncoding.WithPadding(base64.NoPadding), json.RawMessage(`{"a":1}`)
	null := sql.NullString{String: "s", Valid: true}
	zone, utc, zero := time.FixedZone("X", -7200), time.UTC, time.Time{}
	reader, node := strings.NewReader("read"), &parse.TextNode{Text: []byte("node")}
	set := flag.NewFlagSet("f", flag.ContinueOnError)
	n := set.Int("n", 5, "a number")
	buffer := new(bytes.Buffer)
	buffer.WriteString("in a buffer")
	return []shape{
		{"container/list", func() string { return fmt.Sprint(l.Len(), l.Front().Value, l.Back().Value) }},
		{"netip", func() string { return fmt.Sprint(addr, prefix, addr == netip.MustParseAddr("fe80::1%eth0")) }},
		{"random numbers", func() string { r := *random; return fmt.Sprint(r.IntN(1000)) }},
		{"http.Header and url.Values", func() string { return fmt.Sprint(header.Get("a"), query.Encode()) }},
		{"big.Rat and big.Float", func() string { return fmt.Sprint(ratio, pi) }},
		{"image", func() string { return fmt.Sprint(picture.At(1, 1), picture.Bounds()) }},
		{"base64", func() string { return encoding.EncodeToString([]byte{255, 1}) }},
		{"json.RawMessage", func() string { return string(raw) }},
		{"sql.NullString", func() string { return fmt.Sprint(null) }},
		{"time zones", func() string { return fmt.Sprint(zero.IsZero(), time.Unix(0, 0).In(zone), utc == time.UTC) }},
		{"strings.Reader", func() string { r := *reader; b, _ := r.ReadByte(); return fmt.Sprint(b, r.Len()) }},
		{"syntax tree", node.String},
		{"pointer to a flag", func() string { return fmt.Sprint(*n) }},
		{"bytes.Buffer", func() string { return buffer.String() }},
	}
}

func errorShapes() []shape {
	own := &codeError{7, &point{0, 0, "here"}}
	chain := fmt.Errorf("second: %w", fmt.Errorf("first: %w", own))
	joined := errors.Join(own, sql.ErrNoRows, context.Canceled)
	path := &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}
	_, number := strconv.Atoi("x")
	_, real := os.Open("/does/not/exist")
	wrapped := fmt.Errorf("loading: %w", real)
	var as error = own
	return []shape{
		{"error of the program", own.Error},
		{"error in an interface", func() string { return as.Error() }},
		{"errors.As through two", func() string {
			var e *codeError
			return fmt.Sprint(errors.As(chain, &e), e.code, e.at.name, chain)
		}},
		{"errors.Join", func() string {
			return fmt.Sprint(errors.Is(joined, sql.ErrNoRows), errors.Is(joined, context.Canceled), errors.Is(joined, fs.ErrExist))
		}},
		{"fs.PathError", func() string { return fmt.Sprint(errors.Is(path, os.ErrNotExist), path) }},
		{"strconv.NumError", func() string { return fmt.Sprint(errors.Is(number, strconv.ErrSyntax), number) }},
		{"error of the system", func() string { return fmt.Sprint(errors.Is(wrapped, fs.ErrNotExist), wrapped) }},
	}
}
