package load

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/fleetinglambda/flame"
)

// flow is a reader on the parent that takes its time and may fail.
type flow struct {
	rest   []byte
	piece  int
	pause  time.Duration
	broken bool // it fails at the end
}

func (f *flow) Read(b []byte) (int, error) {
	if f.pause > 0 {
		<-time.After(f.pause)
	}
	if len(f.rest) == 0 {
		if f.broken {
			return 0, errPlanned
		}
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), f.piece)], f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// read has a function read from a reader of the parent's.
func read(l *Load, tr trial) {
	tr.retries = 0
	j, all := l.Journal, pattern(tr.size, tr.number)
	in := io.Reader(&flow{rest: all, piece: tr.size/(tr.parts+1) + 1, pause: tr.takes / 32, broken: tr.bad < tr.parts})
	got, err := flame.Call(context.Background(), l.Pool, func(ctx context.Context) ([]byte, error) {
		j.begin(tr.number)
		return io.ReadAll(in)
	}, tr.options()...)
	broken := tr.bad < tr.parts
	if l.judge(tr, err, func(err error) bool { return broken && errors.Is(err, errPlanned) || cancelled(err) }) &&
		(broken || !bytes.Equal(got, all)) {
		l.Fail("act %d: %d of %d bytes were read, broken: %v", tr.number, len(got), len(all), broken)
	}
}

// write has a function write to a writer of the parent's.
func write(l *Load, tr trial) {
	tr.retries = 0
	j, all, kept := l.Journal, pattern(tr.size, tr.number), new(bytes.Buffer)
	out := io.Writer(kept)
	_, err := flame.Call(context.Background(), l.Pool, func(ctx context.Context) (int64, error) {
		j.begin(tr.number)
		return io.CopyBuffer(out, struct{ io.Reader }{bytes.NewReader(all)}, make([]byte, tr.size/(tr.parts+1)+1))
	}, tr.options()...)
	if l.judge(tr, err, cancelled) && !bytes.Equal(kept.Bytes(), all) {
		l.Fail("act %d: %d of %d bytes were written", tr.number, kept.Len(), len(all))
	}
}

// send has a function send to a channel of the parent's.
func send(l *Load, tr trial) {
	tr.retries = 0
	j, c := l.Journal, make(chan int, tr.plan%4)
	out, over, received := (chan<- int)(c), make(chan struct{}), make(chan struct{})
	var got []int
	closed := false
	l.acts.Go(func() {
		defer close(received)
		for {
			select {
			case n, ok := <-c:
				if closed = !ok; closed {
					return
				}
				got = append(got, n)
			case <-over:
				return
			}
		}
	})
	_, err := flame.Call(context.Background(), l.Pool, func(ctx context.Context) (int, error) {
		j.begin(tr.number)
		for i := range tr.parts {
			select {
			case out <- i:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		if tr.plan%8 < 4 {
			close(out)
		}
		return tr.parts, nil
	}, tr.options()...)
	done := l.judge(tr, err, cancelled)
	<-time.After(l.Grid) // what is in the channel is taken out
	close(over)
	<-received
	for i, n := range got {
		if i != n {
			l.Fail("act %d: element %d is %d", tr.number, i, n)
		}
	}
	if done && (len(got) != tr.parts || closed != (tr.plan%8 < 4)) {
		l.Fail("act %d: %d of %d elements came, closed: %v", tr.number, len(got), tr.parts, closed)
	}
}

// receive has a function receive from a channel of the parent's.
func receive(l *Load, tr trial) {
	tr.retries = 0
	j, c := l.Journal, make(chan int, tr.plan%4)
	in, over := (<-chan int)(c), make(chan struct{})
	l.acts.Go(func() {
		defer close(c)
		for i := range tr.parts {
			select {
			case c <- i:
			case <-over:
				return
			}
		}
	})
	got, err := flame.Call(context.Background(), l.Pool, func(ctx context.Context) ([]int, error) {
		j.begin(tr.number)
		var got []int
		for {
			select {
			case n, ok := <-in:
				if !ok {
					return got, context.Cause(ctx)
				}
				got = append(got, n)
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}, tr.options()...)
	close(over)
	if !l.judge(tr, err, cancelled) {
		return
	}
	if len(got) != tr.parts {
		l.Fail("act %d: %d of %d elements came", tr.number, len(got), tr.parts)
	}
	for i, n := range got {
		if i != n {
			l.Fail("act %d: element %d is %d", tr.number, i, n)
		}
	}
}

// hold reads what a function has returned and left on its runner.
func hold(l *Load, tr trial) {
	tr.retries = 0
	ctx, cancel := tr.context()
	defer cancel()
	j, all := l.Journal, string(pattern(tr.size, tr.number))
	body, err := flame.Call(ctx, l.Pool, func(ctx context.Context) (io.ReadCloser, error) {
		j.begin(tr.number)
		return io.NopCloser(strings.NewReader(all)), nil
	}, tr.options()...)
	if !l.judge(tr, err, nil) {
		return
	}
	_ = pause(ctx, tr.takes, true)
	got, err := io.ReadAll(body)
	if closing := body.Close(); err == nil && closing != nil && tr.cancel == 0 {
		tr.timeout = 0
		l.judge(tr, closing, nil)
	}
	if !strings.HasPrefix(all, string(got)) || err == nil && len(got) != len(all) {
		l.Fail("act %d: %d of %d bytes were read: %v", tr.number, len(got), len(all), err)
	}
	if tr.timeout = 0; err != nil && !(tr.cancel > 0 && errors.Is(err, context.Canceled)) {
		l.judge(tr, err, nil)
		l.ran(tr)
	}
}

// ran notes that the function of an act ran, whatever became of what it returned.
func (l *Load) ran(tr trial) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[tr.number] = verdict{ran: true}
}
