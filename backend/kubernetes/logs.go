package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// logs reads what a pod's container writes. Each line comes with its time, so that reading can go on where it broke off.
type logs struct {
	pods            client.PodInterface
	pod, container  string
	over            <-chan struct{} // closed when the container has ended
	to              io.Writer
	last            time.Time // of the last line that was written
	skipping, begun bool      // within the current line: it was written before; its time has been read
}

// follow reads until the container has ended and all is read, or ctx ends. A stream that ends sooner is taken up again.
func (l *logs) follow(ctx context.Context) error {
	for {
		last := l.isOver()
		err := l.once(ctx)
		if last && err == nil || ctx.Err() != nil || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
			return err
		}
		if last {
			_ = aMoment(ctx) // it ended with ctx, or is tried once more
			continue
		}
		again := time.NewTimer(time.Second)
		select {
		case <-l.over:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}

func (l *logs) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// once reads until the stream ends or breaks.
func (l *logs) once(ctx context.Context) error {
	o := &corev1.PodLogOptions{Container: l.container, Follow: true, Timestamps: true}
	if !l.last.IsZero() {
		since := metav1.NewTime(l.last)
		o.SinceTime = &since
	}
	r, err := l.pods.GetLogs(l.pod, o).Stream(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	l.begun = false
	in := bufio.NewReader(r)
	for {
		part, err := in.ReadSlice('\n')
		l.take(part)
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
}

// take writes a line, or a part of one, without the time at its beginning.
func (l *logs) take(part []byte) {
	if len(part) == 0 {
		return
	}
	whole := part[len(part)-1] == '\n'
	if !l.begun {
		stamp, text, _ := bytes.Cut(part, []byte(" "))
		at, err := time.Parse(time.RFC3339Nano, string(stamp))
		switch {
		case err != nil: // not a line of the container's: it says that there are no more
			l.skipping = true
		default:
			part = text
			l.skipping = !at.After(l.last)
			l.last = at
		}
	}
	if !l.skipping {
		_, _ = l.to.Write(part)
	}
	l.begun = !whole
}
