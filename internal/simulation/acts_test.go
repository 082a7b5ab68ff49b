package simulation

import (
	"bytes"
	"context"
	"errors"
	"runtime"

	"github.com/fleetinglambda/flame"
)

// call waits for a function that takes its time.
func call(w *world, tr trial) {
	ctx, cancel := tr.context()
	defer cancel()
	j := w.journal
	got, err := flame.Call(ctx, w.pool, func(ctx context.Context) (int, error) {
		defer j.begin(tr.number)()
		return 3 * tr.number, pause(ctx, tr.takes, tr.heeds)
	}, tr.options(flame.Retry(tr.retries))...)
	if w.judge(tr, err, cancelled) && got != 3*tr.number {
		w.fail("act %d: got %d", tr.number, got)
	}
}

// cancelled is what a function says that was told to end: it may say so before its caller is told.
func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// fail waits for a function that fails.
func fail(w *world, tr trial) {
	tr.retries = 0
	j := w.journal
	err := flame.Run(context.Background(), w.pool, func(ctx context.Context) error {
		defer j.begin(tr.number)()
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
	w.judge(tr, err, func(err error) bool {
		return errors.Is(err, errPlanned) || errors.As(err, &panics) || cancelled(err) || tr.plan%3 == 1
	})
	if err == nil {
		w.fail("act %d was to fail and did not", tr.number)
	}
}

// echo sends something there and back.
func echo(w *world, tr trial) {
	tr.retries = 0
	j, sent := w.journal, pattern(tr.size, tr.number)
	got, err := flame.Call(context.Background(), w.pool, func(ctx context.Context) ([]byte, error) {
		defer j.begin(tr.number)()
		return sent, nil
	}, tr.options()...)
	if w.judge(tr, err, nil) && !bytes.Equal(got, sent) {
		w.fail("act %d: %d bytes came back as %d others", tr.number, len(sent), len(got))
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

// task does not wait at once.
func task(w *world, tr trial) {
	tr.retries = 0
	ctx, cancel := tr.context()
	defer cancel()
	j := w.journal
	t := flame.Start(ctx, w.pool, func(ctx context.Context) (int, error) {
		defer j.begin(tr.number)()
		return tr.number, pause(ctx, tr.takes, tr.heeds)
	}, tr.options()...)
	if tr.plan%5 == 0 {
		tr.cancel = step
		_ = pause(ctx, step, true)
		t.Cancel()
	}
	got, err := t.Wait(context.Background())
	if w.judge(tr, err, cancelled) && got != tr.number {
		w.fail("act %d: got %d", tr.number, got)
	}
}

// cast does not wait at all: nobody is told how it ended.
func cast(w *world, tr trial) {
	tr.retries = 0
	j := w.journal
	err := flame.Cast(context.Background(), w.pool, func(ctx context.Context) error {
		defer j.begin(tr.number)()
		return pause(ctx, tr.takes, tr.heeds)
	})
	if tr.timeout = 0; err != nil {
		w.judge(tr, err, nil)
	}
}

// place stops what it has placed, after a while.
func place(w *world, tr trial) {
	ctx, cancel := context.WithTimeout(context.Background(), tr.timeout)
	defer cancel()
	tr.retries = 0
	j := w.journal
	pl, err := flame.Place(ctx, w.pool, func(ctx context.Context) error {
		defer j.begin(tr.number)()
		<-ctx.Done()
		return errPlanned
	})
	if err != nil {
		w.judge(tr, err, nil)
		return
	}
	_ = pause(ctx, tr.takes, true)
	stopped, stop := context.WithTimeout(context.Background(), tr.timeout)
	defer stop()
	if err = pl.Stop(stopped); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.fail("act %d: stop: %v", tr.number, err)
	}
	<-pl.Done()
	err = pl.Err()
	tr.cancel, tr.timeout = step, 0 // Stop may have given up
	w.judge(tr, err, func(err error) bool { return errors.Is(err, errPlanned) })
	if err == nil {
		w.fail("act %d: it ended by itself and well", tr.number)
	}
}

// spread is a Map, which is left early now and then. Some items fail.
func spread(w *world, tr trial) {
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
	for got, err := range flame.Map(ctx, w.pool, inputs, func(ctx context.Context, i int) (int, error) {
		if i == tr.bad {
			return 0, errPlanned
		}
		return i, pause(ctx, tr.takes/32, true)
	}, options...) {
		own := tr
		own.timeout = 0 // each item has one, from when its turn comes
		if err != nil {
			own.cancel = step // some time has passed for it
			w.judgeItem(own, err)
			continue
		}
		switch {
		case seen[got] || got == tr.bad || got >= tr.parts:
			w.fail("act %d: item %d is wrong or comes twice", tr.number, got)
		case tr.plan%2 == 1 && got < last:
			w.fail("act %d: item %d comes after %d", tr.number, got, last)
		}
		seen[got], last = true, got
		if tr.plan%7 == 0 && len(seen) > tr.parts/2 {
			break
		}
	}
}

// judgeItem looks at the error of an item, whose time began when its turn came.
func (w *world) judgeItem(tr trial, err error) {
	late := new(flame.TimeoutError)
	if errors.As(err, &late) {
		return
	}
	if w.kind(tr, err, func(err error) bool { return errors.Is(err, errPlanned) || cancelled(err) }) == "wrong" {
		w.fail("act %s: an item: %v", w.describe(tr), err)
	}
}
