package session

import (
	"fmt"
	"io"
	"slices"
	"testing"
)

// TestWhatIsToldArrivesBeforeTheAnswer, in order, with the call that it is about, also what nobody has heard yet.
func TestWhatIsToldArrivesBeforeTheAnswer(t *testing.T) {
	overEachConnection(t, func(t *testing.T, parent, runner io.ReadWriteCloser) {
		s, v := connect(t, parent, runner, func(in *Incoming) {
			for i := range 3 {
				in.Tell(fmt.Append(nil, i))
			}
			in.server.Tell([]byte("of no call"))
			in.Reply(nil)
			in.Tell([]byte("late"))
		})
		v.Tell([]byte("early"))
		run := func(number uint64) {
			ended := make(chan Result, 1)
			c := &Call{Number: number, Ended: func(r Result) { ended <- r }}
			if err := s.Send(c, [][]byte{{1}}, 0); err != nil {
				t.Fatal(err)
			}
			s.Wait(c)
			<-ended
		}
		run(1)
		var heard []string
		s.Hear(func(c *Call, told []byte) {
			if c == nil {
				c = new(Call)
			}
			heard = append(heard, fmt.Sprint(c.Number, " ", string(told)))
		})
		run(7)
		s.Close()
		heard = slices.DeleteFunc(heard, func(h string) bool { return h == "0 late" }) // as long as the session is not over
		want := []string{"0 early", "0 0", "0 1", "0 2", "0 of no call", "7 0", "7 1", "7 2", "0 of no call"}
		if !slices.Equal(heard, want) {
			t.Errorf("%q", heard)
		}
	})
}
