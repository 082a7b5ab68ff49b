package line

import "time"

// farewell is how long a line that is over may take to tell the other end.
const farewell = 200 * time.Millisecond

// awaitRoom returns when something can be kept.
func (l *Line) awaitRoom() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.err == nil && l.kept.room() == 0 {
		l.changed.Wait()
	}
	return l.err
}

// keepAndSend adds a frame with what there is room for, sends it, and returns how much that is.
func (l *Line) keepAndSend(b []byte) (int, error) {
	l.sending <- struct{}{}
	defer func() { <-l.sending }()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(b), l.kept.room())
	if n == 0 || l.err != nil {
		return 0, l.err
	}
	l.frameLocked(header{length: n})
	l.kept.add(b[:n])
	l.sendLocked()
	return n, nil
}

// frameLocked adds a header, and tells in it how far has been received.
func (l *Line) frameLocked(h header) {
	h.received = l.received
	l.told, l.must, l.spoke = l.received, false, l.now()
	h.flags |= l.owes
	l.owes = 0
	var room [headerSize]byte
	l.kept.add(appendHeader(room[:0], h))
}

// sendLocked sends what has not been sent, without the lock while it does. Who calls it has the token of sending, so that the
// memory stays as it is.
func (l *Line) sendLocked() {
	for conn := l.conn; conn != nil && !l.mute && l.sent < l.kept.end; conn = l.conn {
		b := l.kept.from(l.sent)
		l.mu.Unlock()
		n, err := conn.Write(b)
		l.mu.Lock()
		if l.conn == conn { // else another one goes on from where the other end is
			l.sent += int64(n)
			l.mute = err != nil // what it has brought is still to be read
		}
	}
}

// oweLocked has a frame sent soon that says how far has been received.
func (l *Line) oweLocked(flags byte) {
	l.must = true
	l.owes |= flags
	signal(l.due)
}

// post sends what nobody else does, and closes the connection in the end.
func (l *Line) post() {
	for {
		select {
		case <-l.due:
			l.pay()
		case <-l.over:
			l.leave()
			return
		}
	}
}

// pay sends the frame that is owed, if there is room and it has not gone with another one, and what else there is to send.
func (l *Line) pay() {
	l.sending <- struct{}{}
	defer func() { <-l.sending }()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calm {
		l.kept.rest()
		l.calm = false
	}
	if l.must && l.conn != nil && l.kept.kept()+headerSize <= most {
		l.frameLocked(header{})
	}
	l.sendLocked()
}

// leave tells the other end that the line is over, if there is a connection, and closes that.
func (l *Line) leave() {
	l.sending <- struct{}{}
	defer func() { <-l.sending }()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil {
		return
	}
	l.owes |= leads
	l.frameLocked(header{})
	l.sendLocked()
	l.conn.Close()
}
