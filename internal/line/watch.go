package line

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// ErrRefused is the error of Config.Dial when the other end does not know this one any more.
var ErrRefused = errors.New("the other side knows nothing of it any more")

// again is how long after a connection could not be made it is tried again.
const again = 100 * time.Millisecond

// carried is how much a connection has to have carried to be of use, if it has brought nothing. It is more than a few frames that
// only tell: those pass where nothing large does.
const carried = 4 << 10

// watch gives connections up that say nothing, sees to new ones, and ends the line when none comes.
func (l *Line) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for due := l.now(); ; {
		select {
		case <-l.over:
			return
		case <-l.news:
		case <-timer.C:
			l.excuse(l.now() - due)
		}
		if l.dials() {
			l.redial()
		}
		wait := l.look()
		due = l.now() + wait
		timer.Reset(wait)
	}
}

// excuse takes the time off that this process could not run: nobody has been silent because it was not heard.
func (l *Line) excuse(late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if late > l.config.Silence/8 {
		l.heard = min(l.now(), l.heard+late)
	}
}

// look does what is due and returns when something is next.
func (l *Line) look() time.Duration {
	l.mu.Lock()
	now, conn, quiet := l.now(), l.conn, l.now()-l.heard
	left := l.away + l.config.Window - now
	limit := l.config.Silence - quiet
	if l.fresh {
		limit = min(limit, left)
	}
	switch {
	case conn == nil && left <= 0:
		over := l.endLocked(l.lostLocked())
		l.mu.Unlock()
		l.ended(over)
		return time.Hour
	case conn == nil:
		l.mu.Unlock()
		return left
	case limit <= 0:
		l.mu.Unlock()
		l.drop(conn, fmt.Errorf("%w for %v", ErrSilent, quiet.Round(time.Second/10)))
		return 0
	}
	defer l.mu.Unlock()
	if l.config.Dial != nil || l.asked {
		return limit
	}
	if soon := min(l.heard, l.spoke) + l.config.Silence/2 - now; soon > 0 {
		return min(soon, limit)
	}
	l.asked, l.calm = true, true
	l.oweLocked(asks)
	return min(l.config.Silence/2, limit)
}

// dials says whether this end is to make a connection now.
func (l *Line) dials() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.config.Dial != nil && l.conn == nil && l.err == nil
}

// redial makes a new connection within the window, or ends the line.
func (l *Line) redial() {
	l.mu.Lock()
	received, end, useless := l.received, l.away+l.config.Window, l.fresh
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), end-l.now())
	defer cancel()
	var stop sync.WaitGroup
	defer stop.Wait()
	stop.Go(func() {
		select {
		case <-l.over:
			cancel()
		case <-ctx.Done():
		}
	})
	defer cancel()
	if useless {
		pause(ctx, again)
	}
	var last error
	for ; ctx.Err() == nil; pause(ctx, again) {
		conn, theirs, err := l.config.Dial(ctx, received)
		switch {
		case err == nil:
			_ = l.adopt(conn, theirs) // else the line is over
			return
		case errors.Is(err, ErrRefused):
			l.giveUp(err)
			return
		case ctx.Err() == nil || last == nil: // else it says only that it was called off
			last = err
		}
	}
	l.giveUp(last)
}

// giveUp ends a line that could not be restored.
func (l *Line) giveUp(err error) {
	l.mu.Lock()
	e := &LostError{Window: l.config.Window, Cause: l.lost, Redial: err}
	l.mu.Unlock()
	l.end(e)
}

func pause(ctx context.Context, d time.Duration) {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}

// Resume gives the line another connection, which it owns from then on. theirs is how far the other end has received, and
// greet tells it how far this one has. The connection that there was is given up. An error means that the line has not
// taken the new one: it is over, or greet's.
func (l *Line) Resume(conn net.Conn, theirs int64, greet func(mine int64) error) error {
	l.resumes <- struct{}{}
	defer func() { <-l.resumes }()
	l.mu.Lock()
	old := l.conn
	l.mu.Unlock()
	if old != nil {
		l.drop(old, errReplaced)
	}
	l.mu.Lock()
	mine, err := l.received, l.err
	l.mu.Unlock()
	if err == nil {
		err = greet(mine)
	}
	if err != nil {
		return err
	}
	return l.adopt(conn, theirs)
}

// adopt goes on over a connection.
func (l *Line) adopt(conn net.Conn, theirs int64) error {
	l.mu.Lock()
	err := l.err
	wrong := err == nil && (theirs < l.kept.start || theirs > l.kept.end)
	if wrong {
		err = fmt.Errorf("%w: the other end has received %d bytes, between %d and %d are possible", ErrCorrupt, theirs, l.kept.start, l.kept.end)
		l.endLocked(err)
	}
	if err == nil {
		if theirs-l.kept.start >= carried { // the one before was of use, though it has brought nothing
			l.away = l.now()
		}
		l.conn, l.mute, l.fresh, l.heard, l.asked, l.sent = conn, false, true, l.now(), false, theirs
		l.ackLocked(theirs)
		l.oweLocked(0) // a sign of life
		err = conn.SetReadDeadline(l.deadlineLocked())
		l.changed.Broadcast()
		signal(l.news)
	}
	l.mu.Unlock()
	if err != nil {
		conn.Close()
	}
	l.ended(wrong)
	return err
}
