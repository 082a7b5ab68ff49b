package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/process"
)

// groupVariable makes this test binary a parent in the control group that it names.
const groupVariable = "FLAME_TEST_GROUP"

// memory is how much the processes of the control group have together.
const memory = 512 << 20

// told is how a parent in a control group says what became of its calls.
type told struct {
	Lost, OOM, Started bool
	Signal, Text       string
	Next               string // the error of the next call
	Boots              int
}

func TestN14_AKillingForMemoryIsNamed(t *testing.T) {
	for name, isolation := range map[string]flame.Isolation{"shared": flame.Shared, "per call": flame.PerCall} {
		t.Run(name, func(t *testing.T) {
			// Given a parent and its runner in a control group with little memory.
			cmd := exec.CommandContext(t.Context(), os.Args[0], strconv.Itoa(int(isolation)))
			cmd.Env = append(os.Environ(), groupVariable+"="+controlGroup(t))
			cmd.Stderr = os.Stderr
			// When a function takes more than there is.
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got told
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			// Then its call is lost, by name, and the next one runs: with a process per call on the same runner.
			boots := 2
			if isolation == flame.PerCall {
				boots = 1
			}
			if !got.Lost || !got.OOM || !got.Started || got.Signal != "killed" || !strings.Contains(got.Text, "ran out of memory") || got.Next != "" || got.Boots != boots {
				t.Errorf("%+v", got)
			}
		})
	}
}

// controlGroup makes a control group that is removed after the test.
func controlGroup(t *testing.T) string {
	t.Helper()
	var why error
	for _, limit := range []string{"/sys/fs/cgroup/memory/%s/memory.limit_in_bytes", "/sys/fs/cgroup/%s/memory.max"} {
		file := fmt.Sprintf(limit, fmt.Sprint("flame-test-", os.Getpid()))
		dir := filepath.Dir(file)
		if err := os.Mkdir(dir, 0o700); err != nil {
			why = errors.Join(why, err)
			continue
		}
		t.Cleanup(func() {
			for start := time.Now(); os.Remove(dir) != nil; { // until the last process has left it
				if time.Since(start) > 10*time.Second {
					t.Errorf("%s is left", dir)
					return
				}
			}
		})
		err := os.WriteFile(file, strconv.AppendInt(nil, memory, 10), 0o600)
		if err == nil {
			return dir
		}
		why = errors.Join(why, err)
	}
	t.Skip("needs root and a control group with a limit of memory, and none can be made: ", why)
	return ""
}

// groupProgram has a function take all memory there is, in the control group.
func groupProgram(group string) {
	_, runner := flame.Parent()
	if !runner {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o600); err != nil {
			panic(err)
		}
	}
	flame.ServeIfRunner()
	isolation, _ := strconv.Atoi(os.Args[1])
	boots := &counted{Backend: process.New(process.Options{})}
	ctx := context.Background()
	p, err := flame.Open(ctx, flame.Config{Isolation: flame.Isolation(isolation), MaxConcurrency: 2, Backend: boots})
	if err != nil {
		panic(err)
	}
	err = flame.Run(ctx, p, func(context.Context) error {
		var all [][]byte
		for {
			more := make([]byte, 8<<20)
			for i := 0; i < len(more); i += 4096 {
				more[i] = 1
			}
			all = append(all, more)
			if len(all) > 2*memory/len(more) {
				return fmt.Errorf("there was memory for %d of these", len(all))
			}
		}
	})
	said := told{Text: fmt.Sprint(err)}
	var lost *flame.RunnerLostError
	if errors.As(err, &lost) {
		said = told{Lost: true, OOM: lost.OOM, Started: lost.Started, Signal: fmt.Sprint(lost.Signal), Text: err.Error()}
	}
	if err := flame.Run(ctx, p, func(context.Context) error { return nil }); err != nil {
		said.Next = err.Error()
	}
	p.Close()
	said.Boots = boots.n
	json.NewEncoder(os.Stdout).Encode(said)
}

// counted counts boots, which come one after another.
type counted struct {
	backend.Backend
	n int
}

func (c *counted) Boot(ctx context.Context, spec backend.Spec) (backend.Instance, error) {
	c.n++
	return c.Backend.Boot(ctx, spec)
}
