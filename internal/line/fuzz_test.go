package line

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// said is a connection that brings some bytes and ends.
type said struct {
	net.Conn
	*bytes.Reader
}

func (said) Write(b []byte) (int, error)        { return len(b), nil }
func (said) Close() error                       { return nil }
func (said) SetWriteDeadline(time.Time) error   { return nil }
func (c said) Read(b []byte) (n int, err error) { return c.Reader.Read(b) }

func FuzzWhatTheOtherEndSays(f *testing.F) {
	f.Add(append(appendHeader(nil, header{length: 3}), "abc"...))
	f.Add(appendHeader(appendHeader(nil, header{flags: asks}), header{flags: leads}))
	f.Add(appendHeader(nil, header{received: 1 << 40}))
	f.Add(bytes.Repeat([]byte{255}, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := New(said{Reader: bytes.NewReader(b)}, Config{Silence: time.Minute})
		defer l.Close()
		got, err := io.ReadAll(l)
		var lost *LostError
		if len(got)+headerSize > len(b) && len(got) > 0 {
			t.Errorf("%d bytes were read of %d", len(got), len(b))
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.As(err, &lost) {
			t.Errorf("it ends with %v", err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(nil, header{length: maxFrame, flags: known, received: 1 << 50}))
	f.Add(make([]byte, headerSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) != headerSize {
			return
		}
		h, err := readHeader((*[headerSize]byte)(b))
		if err == nil && !bytes.Equal(appendHeader(nil, h), b) {
			t.Errorf("%x was read as %+v", b, h)
		}
	})
}
