package lend

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

// tellingTo keeps what is told, until it is done.
type tellingTo struct {
	backlog int
	done    chan struct{}
	told    []Told
}

func (s *tellingTo) Backlog() int          { return s.backlog }
func (s *tellingTo) Done() <-chan struct{} { return s.done }

func (s *tellingTo) TellFor(_ context.Context, what []byte) {
	t, err := ReadTold(bytes.Clone(what))
	if err != nil {
		panic(err)
	}
	s.told = append(s.told, t)
}

// text is what the usual handler prints of a record.
func text(t *testing.T, told Told) string {
	t.Helper()
	r, ok := told.Record()
	if !ok {
		t.Fatal("it is no record")
	}
	var b bytes.Buffer
	slog.NewTextHandler(&b, nil).Handle(t.Context(), r)
	_, line, _ := strings.Cut(b.String(), " ")
	return strings.TrimSpace(line)
}

func TestF14_RecordsAreToldAndAfterThatWrittenHere(t *testing.T) {
	to := &tellingTo{done: make(chan struct{})}
	var here bytes.Buffer
	h := NewHandler(to, slog.LevelInfo, slog.NewTextHandler(&here, nil))
	l := slog.New(h).With("a", 1).WithGroup("g").With("b", 2)
	const want = `level=WARN msg=careful a=1 g.b=2 g.c=3`
	l.Debug("too low")
	l.Warn("careful", "c", 3)
	to.backlog = maxBacklog + 1
	l.Warn("too many")
	l.Warn("too many")
	to.backlog = 0
	l.Error("one more \x1b[31m")
	slog.New(h).Info(strings.Repeat("x", 2*maxText), "attr", strings.Repeat("y", maxText))
	if len(to.told) != 3 || here.Len() > 0 {
		t.Fatalf("%d were told; here: %s", len(to.told), &here)
	}
	if got := text(t, to.told[0]); got != want || to.told[0].Dropped != 0 {
		t.Errorf("%d before %s", to.told[0].Dropped, got)
	}
	if r, ok := to.told[1].Record(); !ok || r.Message != `one more \x1b[31m` || to.told[1].Dropped != 2 {
		t.Errorf("%d before %s", to.told[1].Dropped, r.Message)
	}
	if r, ok := to.told[2].Record(); !ok || !strings.HasSuffix(r.Message, "too long)") || r.NumAttrs() != 0 {
		t.Errorf("%d bytes, %d attributes", len(r.Message), r.NumAttrs())
	}
	close(to.done)
	l.Debug("too low")
	l.Warn("careful", "c", 3)
	if _, line, _ := strings.Cut(here.String(), " "); strings.TrimSpace(line) != want || len(to.told) != 3 {
		t.Errorf("%d were told; here: %s", len(to.told), &here)
	}
}

// TestF14_ARecordFitsOneNote, however large it is.
func TestF14_ARecordFitsOneNote(t *testing.T) {
	const payload = 64<<10 - 12
	to := &tellingTo{done: make(chan struct{})}
	l := slog.New(NewHandler(to, slog.LevelInfo, nil))
	for size := maxRecord - 300; size < maxRecord+300; size++ {
		l.Info(strings.Repeat("x", size))
	}
	largest := 0
	for _, told := range to.told {
		largest = max(largest, told.Size()+11)
	}
	if largest > payload || largest < payload-200 {
		t.Errorf("the largest has %d bytes", largest)
	}
}
