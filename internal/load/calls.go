package load

import (
	"bytes"
	"context"
	"errors"
	"runtime"

	"github.com/fleetinglambda/flame"
)

// call waits for a function that takes its time.
func call(l *Load, tr trial) {
	ctx, cancel := tr.context()
	defer cancel()
	j := l.Journal
	got, err := flame.Call(ctx, l.Pool, func(ctx context.Context) (int, error) {
		j.begin(tr.number)
		return 3 * tr.number, pause(ctx, tr.takes, tr.heeds)
	}, tr.options(flame.Retry(tr.retries))...)
	if l.judge(tr, err, cancelled) && got != 3*tr.number {
		l.Fail("act %d: got %d", tr.number, got)
	}
}

// cancelled is what a function says that was told to end: it may say so before its caller is told.
func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// fail waits for a function that fails.
func fail(l *Load, tr trial) {
	tr.retries = 0
	j := l.Journal
	err := flame.Run(context.Background(), l.Pool, func(ctx context.Context) error {
		j.begin(tr.number)
		switch err := pause(ctx, tr.takes, true); {
		case err != nil:
			return err
		case tr.plan%3 == 0:
			panic("planned")
		case tr.plan%3 == 1:
			runtime.Goexit()
		}
		return errPlanned
	}, tr.options()...)
	panics := new(flame.PanicError)
	l.judge(tr, err, func(err error) bool {
		return errors.Is(err, errPlanned) || errors.As(err, &panics) || cancelled(err) || tr.plan%3 == 1
	})
	if err == nil {
		l.Fail("act %d was to fail and did not", tr.number)
	}
}

// echo sends something there and back.
func echo(l *Load, tr trial) {
	tr.retries = 0
	j, sent := l.Journal, pattern(tr.size, tr.number)
	got, err := flame.Call(context.Background(), l.Pool, func(ctx context.Context) ([]byte, error) {
		j.begin(tr.number)
		return sent, nil
	}, tr.options()...)
	if l.judge(tr, err, nil) && !bytes.Equal(got, sent) {
		l.Fail("act %d: %d bytes came back as %d others", tr.number, len(sent), len(got))
	}
}

// pattern is what is sent: different for each act, and nowhere the same.
func pattern(size, act int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*31 + i>>8 + act)
	}
	return b
}

// task does not wait at once. What it captures is the caller's again when Start returns.
func task(l *Load, tr trial) {
	tr.retries = 0
	ctx, cancel := tr.context()
	defer cancel()
	j, sent := l.Journal, pattern(tr.size, tr.number)
	t := flame.Start(ctx, l.Pool, func(ctx context.Context) ([]byte, error) {
		j.begin(tr.number)
		return sent, pause(ctx, tr.takes, tr.heeds)
	}, tr.options()...)
	want := bytes.Clone(sent)
	clear(sent)
	if tr.plan%5 == 0 {
		tr.cancel = l.Grid
		_ = pause(ctx, l.Grid, true)
		t.Cancel()
	}
	got, err := t.Wait(context.Background())
	if l.judge(tr, err, cancelled) && !bytes.Equal(got, want) {
		l.Fail("act %d: %d bytes came back as %d others", tr.number, len(want), len(got))
	}
}

// cast does not wait at all: nobody is told how it ended.
func cast(l *Load, tr trial) {
	tr.retries = 0
	j := l.Journal
	err := flame.Cast(context.Background(), l.Pool, func(ctx context.Context) error {
		j.begin(tr.number)
		return pause(ctx, tr.takes, tr.heeds)
	})
	if tr.timeout = 0; err != nil {
		l.judge(tr, err, nil)
	}
}

// place stops what it has placed, after a while.
func place(l *Load, tr trial) {
	ctx, cancel := context.WithTimeout(context.Background(), tr.timeout)
	defer cancel()
	tr.retries = 0
	j := l.Journal
	pl, err := flame.Place(ctx, l.Pool, func(ctx context.Context) error {
		j.begin(tr.number)
		<-ctx.Done()
		return errPlanned
	})
	if err != nil {
		l.judge(tr, err, nil)
		return
	}
	_ = pause(ctx, tr.takes, true)
	stopped, stop := context.WithTimeout(context.Background(), tr.timeout)
	defer stop()
	if err = pl.Stop(stopped); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		l.Fail("act %d: stop: %v", tr.number, err)
	}
	<-pl.Done()
	err = pl.Err()
	tr.cancel, tr.timeout = l.Grid, 0 // Stop may have given up
	l.judge(tr, err, func(err error) bool { return errors.Is(err, errPlanned) })
	if err == nil {
		l.Fail("act %d: it ended by itself and well", tr.number)
	}
}

// spread is a Map, which is left early now and then. Some items fail.
func spread(l *Load, tr trial) {
	ctx, cancel := tr.context()
	defer cancel()
	tr.retries = 0
	options := tr.options()
	if tr.plan%2 == 0 {
		options = append(options, flame.Unordered())
	}
	inputs := func(yield func(int) bool) {
		for i := range tr.parts {
			if !yield(i) {
				return
			}
		}
	}
	seen, last := make(map[int]bool), -1
	for got, err := range flame.Map(ctx, l.Pool, inputs, func(ctx context.Context, i int) (int, error) {
		if i == tr.bad {
			return 0, errPlanned
		}
		return i, pause(ctx, tr.takes/32, true)
	}, options...) {
		own := tr
		own.timeout = 0 // each item has one, from when its turn comes
		if err != nil {
			own.cancel = l.Grid // some time has passed for it
			l.judgeItem(own, err)
			continue
		}
		switch {
		case seen[got] || got == tr.bad || got >= tr.parts:
			l.Fail("act %d: item %d is wrong or comes twice", tr.number, got)
		case tr.plan%2 == 1 && got < last:
			l.Fail("act %d: item %d comes after %d", tr.number, got, last)
		}
		seen[got], last = true, got
		if tr.plan%7 == 0 && len(seen) > tr.parts/2 {
			break
		}
	}
}

// judgeItem looks at the error of an item, whose time began when its turn came.
func (l *Load) judgeItem(tr trial, err error) {
	late := new(flame.TimeoutError)
	if errors.As(err, &late) {
		return
	}
	if l.kind(tr, err, func(err error) bool { return errors.Is(err, errPlanned) || cancelled(err) }) == "wrong" {
		l.Fail("act %s: an item: %v", l.describe(tr), err)
	}
}
