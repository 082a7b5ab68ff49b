package dialback

import (
	"encoding/binary"
	"fmt"
	"io"
)

// arrival is what a runner sends before anything else. A new one shows its ticket; one that has been there says so, and
// how far it has received what its parent has sent:
//
//	length 1 byte · runner · length 1 byte · build · proof 32 bytes
//	0 · length 1 byte · runner · length 1 byte · build · count 8 bytes · received 8 bytes · proof 32 bytes
type arrival struct {
	Claims
	again    bool
	count    uint64 // of its redials; each is good for one
	received int64
	proof    [proofSize]byte
}

// maxClaim is how long a runner's id, and a build's, may be.
const maxClaim = 255

func (a *arrival) write(w io.Writer) error {
	if a.Runner == "" || len(a.Runner) > maxClaim || len(a.Build) > maxClaim {
		return fmt.Errorf("a runner's id of %d bytes and a build's of %d", len(a.Runner), len(a.Build))
	}
	var b []byte
	if a.again {
		b = append(b, 0)
	}
	b = append(append(b, byte(len(a.Runner))), a.Runner...)
	b = append(append(b, byte(len(a.Build))), a.Build...)
	if a.again {
		b = binary.BigEndian.AppendUint64(b, a.count)
		b = binary.BigEndian.AppendUint64(b, uint64(a.received))
	}
	_, err := w.Write(append(b, a.proof[:]...))
	return err
}

func readArrival(r io.Reader) (a arrival, err error) {
	if a.Runner, err = readClaim(r); err == nil && a.Runner == "" {
		a.again = true
		a.Runner, err = readClaim(r)
	}
	if err == nil && a.Runner == "" {
		err = fmt.Errorf("a runner without an id")
	}
	if err == nil {
		a.Build, err = readClaim(r)
	}
	if err != nil {
		return a, err
	}
	if a.again {
		var b [16]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return a, err
		}
		a.count, a.received = binary.BigEndian.Uint64(b[:]), int64(binary.BigEndian.Uint64(b[8:]))
	}
	_, err = io.ReadFull(r, a.proof[:])
	return a, err
}

// readClaim reads a text behind its length.
func readClaim(r io.Reader) (string, error) {
	var b [1 + maxClaim]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return "", err
	}
	text := b[1 : 1+int(b[0])]
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// The parent answers a runner that has been there with how far it has received, in 8 bytes, or with refused.
const refused = -1

func writeAnswer(w io.Writer, received int64) error {
	_, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(received)))
	return err
}

func readAnswer(r io.Reader) (received int64, err error) {
	var b [8]byte
	_, err = io.ReadFull(r, b[:])
	return int64(binary.BigEndian.Uint64(b[:])), err
}
