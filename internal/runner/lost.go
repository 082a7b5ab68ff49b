package runner

import (
	"errors"
	"os"
	"syscall"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/internal/codec"
)

// Death is what the answer says of a call whose own process was lost.
type Death struct {
	Why    string // if it is not the process's own end
	Exited bool   // what follows is known
	Code   int    // as in backend.ExitError
	Signal int    // that ended the process; 0: none did
	OOM    bool
	Output []byte // the last of what the process wrote
	Stacks []byte // of a function that ignored that its context had ended
}

// died adds how an instance has ended.
func (d Death) died(i backend.Instance) Death {
	d.Exited = true
	if exit := exitOf(i.Err()); exit != nil {
		d.Code, d.OOM, d.Signal = exit.Code, exit.OOM, number(exit.Signal)
	}
	if t, ok := i.(backend.Teller); ok {
		d.Output = t.Output()
	}
	return d
}

// lost is the answer of a call whose process was lost. Whether its function may have started is the second byte.
func (d Death) lost(started bool) [][]byte {
	head := []byte{byte(Lost), 0}
	if started {
		head[1] = 1
	}
	msg, err := codec.Encode(&d, codec.Options{})
	if err != nil { // strings, bytes and numbers always can
		panic(err)
	}
	return append([][]byte{head}, msg...)
}

// WasLost says whether an answer is that of a call whose own process was lost, and whether its function may have
// started. The answer may be any bytes.
func WasLost(answer []byte) (lost, started bool) {
	lost = len(answer) > 1 && Outcome(answer[0]) == Lost
	return lost, lost && answer[1] != 0
}

// ReadLost returns what an answer for which WasLost is true says.
func ReadLost(answer []byte) (d Death, err error) {
	if lost, _ := WasLost(answer); !lost {
		return d, errors.New("it does not say how a process was lost")
	}
	err = codec.Decode(answer[2:], &d, codec.Untrusted)
	return d, err
}

// number is a signal's; 0: it is none.
func number(s os.Signal) int {
	if s, ok := s.(syscall.Signal); ok {
		return int(s)
	}
	return 0
}
