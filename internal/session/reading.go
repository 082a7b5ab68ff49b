package session

// Who reads. A hand-off from a reading goroutine to the waiting caller costs more than the
// rest of a small call, so a caller who waits alone reads the connection himself. When others wait too,
// or nobody does, the background reader has the role. It changes hands only between two frames.

// Wait returns when c is over or was released. Meanwhile the calling goroutine reads for everybody if
// nobody else does.
func (s *Session) Wait(c *Call) {
	if c.Attended && c.out.large {
		s.out.deliver(&c.out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for !c.over && !c.released {
		if s.reader == nobodyReads && s.canStop {
			s.readAsCallerLocked(c)
			continue
		}
		if c.wake == nil {
			c.wake = make(chan struct{}, 1)
		}
		s.mu.Unlock()
		<-c.wake
		s.mu.Lock()
	}
}

func (s *Session) wakeLocked(c *Call) {
	if c.wake == nil {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default: // it has been woken
	}
}

// readAsCallerLocked reads until c is over or released, without the lock while it does.
func (s *Session) readAsCallerLocked(c *Call) {
	s.reader, s.caller = callerReads, c
	for !c.over && !c.released || s.in.Buffered() {
		alone := s.callsLocked() == 1
		s.mu.Unlock()
		if alone {
			s.soon()
		}
		err := s.readFrame()
		s.mu.Lock()
		if err != nil {
			break
		}
	}
	s.caller, s.used = nil, true
	if s.callsLocked() > 0 {
		s.readInBackgroundLocked()
		return
	}
	s.nobodyReadsLocked()
}

// readBackground is the background reader.
func (s *Session) readBackground() {
	for {
		select {
		case <-s.resume:
			s.readWhileUsed()
		case <-s.done:
			return
		}
	}
}

// readInBackgroundLocked gives the role to the background reader.
func (s *Session) readInBackgroundLocked() {
	s.reader = backgroundReads
	s.resume <- struct{}{} // never blocks: it had taken its last token when it gave the role up
}

// readWhileUsed reads until the last call is over; then the next caller may read himself.
func (s *Session) readWhileUsed() {
	for {
		had := s.live()
		if s.readFrame() != nil {
			return
		}
		if !s.in.Buffered() && had > 0 && s.giveUpReading() {
			return
		}
	}
}

func (s *Session) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.callsLocked()
}

func (s *Session) giveUpReading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.callsLocked() > 0 || !s.canStop {
		return false
	}
	s.nobodyReadsLocked()
	return true
}

// nobodyReadsLocked gives the role up. Somebody looks soon whether the connection is read again.
func (s *Session) nobodyReadsLocked() {
	s.reader = nobodyReads
	if !s.looking && s.Err() == nil {
		s.looking, s.used = true, false
		s.look.Reset(lookAfter)
	}
}

// lookIdle gives the role to the background reader if no call has come for a while.
func (s *Session) lookIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.Err() != nil || s.reader != nobodyReads:
		s.looking = false // who gives the role up next looks again
	case s.used:
		s.used = false
		s.look.Reset(lookAfter)
	default:
		s.looking = false
		s.readInBackgroundLocked()
	}
}

// readFrame reads one frame and does what it says. An error has ended the session.
func (s *Session) readFrame() error {
	f, err := s.next()
	if err == nil {
		err = s.handle(f)
	}
	if err != nil {
		s.end(err)
	}
	return err
}
