package lend

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

func TestN08_SeveralRunnersHaveTheSameThingsFromOneMessage(t *testing.T) {
	var out bytes.Buffer
	o := new(office)
	logger := slog.New(slog.NewTextHandler(&out, nil))
	ctx, cancel := context.WithCancel(context.Background())
	s := &Spread{Context: t.Context(), Owner: o}
	var refs [][]byte
	for _, v := range []struct {
		value any
		as    reflect.Type
	}{{ctx, contextType}, {logger, reflect.TypeFor[*slog.Logger]()}, {ctx, contextType}} {
		ref, err := s.Lend(v.value, v.as)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	if !bytes.Equal(refs[0], refs[2]) || bytes.Equal(refs[0], refs[1]) {
		t.Errorf("%v", refs)
	}
	var borrowed []context.Context
	for _, name := range []string{"one", "two"} {
		d, w := s.Desk(), &wire{ctx: t.Context()}
		w.desk = d
		d.Bind(w.send)
		b := &Borrower{Link: w}
		defer b.End()
		defer d.Close()
		l, err := b.Borrow(refs[1], reflect.TypeFor[*slog.Logger]())
		if err != nil {
			t.Fatal(err)
		}
		l.(*slog.Logger).Info("from " + name)
		o.wg.Wait()
		c, err := b.Borrow(refs[0], contextType)
		if err != nil {
			t.Fatal(err)
		}
		borrowed = append(borrowed, c.(context.Context))
	}
	cancel()
	for _, c := range borrowed {
		<-c.Done()
	}
	if text := out.String(); strings.Count(text, "from one") != 1 || strings.Count(text, "from two") != 1 {
		t.Errorf("logged %s", text)
	}
}

func TestN08_WhatOnlyOneCanUseIsNotSpread(t *testing.T) {
	s := &Spread{Context: t.Context(), Owner: new(office)}
	_, err := s.Lend(strings.NewReader("x"), reflect.TypeFor[io.Reader]())
	if err == nil || !strings.Contains(err.Error(), "several runners") {
		t.Errorf("got %v", err)
	}
}
