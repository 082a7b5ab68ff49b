package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// meter holds a lock and says itself how it crosses.
type meter struct {
	mu    sync.Mutex
	count uint64
}

func (m *meter) MarshalBinary() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return binary.AppendUvarint(nil, m.count), nil
}

func (m *meter) UnmarshalBinary(b []byte) error {
	n, size := binary.Uvarint(b)
	if size != len(b) {
		return errors.New("no meter")
	}
	m.count = n
	return nil
}

// goblin has the other pair of methods, on the value.
type goblin struct {
	state struct{ once *sync.Once }
	mu    sync.Mutex
	name  string
}

func (g *goblin) GobEncode() ([]byte, error) { return []byte(g.name), nil }
func (g *goblin) GobDecode(b []byte) error   { g.name = string(b); return nil }

// promoted has its encoding from what it embeds: by it, name would be lost.
type promoted struct {
	time.Time
	mu   sync.Mutex
	name string
}

// half can only be written.
type half struct{ mu sync.Mutex }

func (*half) MarshalBinary() ([]byte, error) { return nil, nil }

// texted would come back redacted.
type texted struct{ mu sync.Mutex }

func (*texted) MarshalText() ([]byte, error) { return []byte("***"), nil }
func (*texted) UnmarshalText([]byte) error   { return nil }

// faulty does not do what it should.
type faulty struct {
	mu   sync.Mutex
	what string
}

func (f *faulty) MarshalBinary() ([]byte, error) {
	switch f.what {
	case "fail":
		return nil, errors.New("no ink")
	case "panic":
		panic("no paper")
	}
	return []byte(f.what), nil
}

func (f *faulty) UnmarshalBinary(b []byte) error {
	if string(b) == "bad" {
		panic("no glasses")
	}
	return nil
}

// simple has an encoding that nobody needs: its memory can be copied.
type simple struct{ a, b int }

func (p simple) MarshalBinary() ([]byte, error)  { return nil, errors.New("never asked") }
func (p *simple) UnmarshalBinary(b []byte) error { return errors.New("never asked") }

func TestOwnEncoding(t *testing.T) {
	type all struct {
		m       *meter
		again   *meter
		value   meter
		list    []meter
		byName  map[string]*goblin
		any     any
		addr    netip.Addr
		prefix  []netip.Prefix
		byAddr  map[netip.AddrPort]string
		ignored simple
	}
	m := &meter{count: 300}
	v := all{
		m: m, again: m, value: meter{count: 5}, list: []meter{{count: 1}, {count: 1 << 40}}, byName: map[string]*goblin{"g": {name: "gob"}},
		any: &goblin{name: "boxed"}, addr: netip.MustParseAddr("fe80::1%eth0"), prefix: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		byAddr: map[netip.AddrPort]string{netip.MustParseAddrPort("127.0.0.1:80"): "web"}, ignored: simple{1, 2},
	}
	got := cross(t, &v, Trusted)
	if got.m.count != 300 || got.again != got.m || got.value.count != 5 || got.list[1].count != 1<<40 || got.byName["g"].name != "gob" {
		t.Errorf("%+v", got)
	}
	if got.any.(*goblin).name != "boxed" || got.addr != v.addr || got.prefix[0] != v.prefix[0] || got.byAddr[netip.MustParseAddrPort("127.0.0.1:80")] != "web" || got.ignored != v.ignored {
		t.Errorf("%+v", got)
	}
	if back := cross(t, v.addr, Untrusted); back != v.addr {
		t.Error(back)
	}
}

func TestOwnEncodingOnlyIfItIsTheTypesOwnAndWhole(t *testing.T) {
	for _, v := range []any{new(promoted), new(half), new(texted)} {
		if _, err := Encode(&v, Options{}); err == nil || !strings.Contains(err.Error(), "PerProcess") {
			t.Errorf("%T: %v", v, err)
		}
	}
}

func TestOwnEncodingThatFails(t *testing.T) {
	for what, want := range map[string]string{
		"fail":  ".of (*codec.faulty): its own encoding fails: no ink",
		"panic": "its own encoding fails: it panics: no paper",
	} {
		v := struct{ of *faulty }{&faulty{what: what}}
		if _, err := Encode(&v, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	v := &faulty{what: "bad"}
	msg, err := Encode(&v, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got *faulty
	if err := Decode(bytes.Join(msg, nil), &got, Untrusted); err == nil || !strings.Contains(err.Error(), "codec.faulty by itself: it panics: no glasses") {
		t.Error(err)
	}
}

func TestSyncMapsCross(t *testing.T) {
	type cache struct{ pages sync.Map }
	c, p := new(cache), &simple{1, 2}
	for i := range 100 {
		c.pages.Store(fmt.Sprint("key ", i), i)
	}
	c.pages.Store(simple{3, 4}, p)
	c.pages.Store("same", p)
	c.pages.Store("self", c)
	got := cross(t, c, Trusted)
	n := 0
	got.pages.Range(func(k, v any) bool { n++; return true })
	one, _ := got.pages.Load(simple{3, 4})
	two, _ := got.pages.Load("same")
	if self, _ := got.pages.Load("self"); n != 103 || one != two || one == p || *one.(*simple) != *p || self != got {
		t.Errorf("%d entries, %v, %v", n, one, two)
	}
	if v, _ := got.pages.Load("key 7"); v != 7 {
		t.Error(v)
	}
	var m sync.Map
	m.Store("a", 1)
	back := cross(t, &m, Untrusted)
	if v, _ := back.Load("a"); v != 1 {
		t.Error(v)
	}
}

func TestSyncMapOfHostileKeys(t *testing.T) {
	var m sync.Map
	m.Store("key", []int{1})
	p := &m
	msg, err := Encode(&p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Join(msg, nil)
	for i := range data {
		for b := range 256 {
			bad := bytes.Clone(data)
			bad[i] = byte(b)
			var got *sync.Map
			_ = Decode(bad, &got, Untrusted) // it does not panic
		}
	}
}
