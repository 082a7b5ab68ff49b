package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/backend/process"
)

func TestMain(m *testing.M) {
	flame.ServeIfRunner()
	os.Exit(m.Run())
}

// open opens a pool of processes and the page's server.
func open(t *testing.T) (*flame.Pool, *httptest.Server) {
	t.Helper()
	pool, err := flame.Open(t.Context(), flame.Config{
		Max: 1, MaxConcurrency: 1, Timeout: time.Minute,
		Backend: process.New(process.Options{Output: t.Output()}),
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler(pool))
	t.Cleanup(func() {
		server.Close()
		pool.Close()
	})
	return pool, server
}

// get returns the status and the body of an answer.
func get(t *testing.T, server *httptest.Server, path string) (int, string) {
	t.Helper()
	r, err := server.Client().Get(server.URL + path)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return r.StatusCode, string(body)
}

// modulo is the n-th Fibonacci number modulo m, by addition alone.
func modulo(n int, m uint64) uint64 {
	a, b := uint64(0), uint64(1)
	for range n {
		a, b = b, (a+b)%m
	}
	return a
}

const tenMillion = 10_000_000

func TestTheTenMillionthComesFromARunner(t *testing.T) {
	// When a runner computes it, then the whole number is here,
	pool, _ := open(t)
	a, err := compute(t.Context(), pool, tenMillion)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := flame.Call(t.Context(), pool, func(context.Context) (int, error) { return os.Getpid(), nil })
	if err != nil {
		t.Fatal(err)
	}
	if a.PID != runner || a.PID == os.Getpid() || a.Parent != os.Getpid() {
		t.Errorf("process %d computed it for process %d; the runner is %d and this is %d", a.PID, a.Parent, runner, os.Getpid())
	}
	// and it is right: at its end,
	const end = 1_000_000_000_000_000_000
	want := modulo(tenMillion, end)
	if got := new(big.Int).Mod(a.F, big.NewInt(end)).Uint64(); got != want {
		t.Errorf("modulo 10^18 it is %d, want %d", got, want)
	}
	if !strings.HasSuffix(a.Tail, fmt.Sprintf("%018d", want)) {
		t.Errorf("it ends with %s, want %018d", a.Tail, want)
	}
	// modulo a prime, which the digits at the end do not tell,
	const prime = 1<<61 - 1
	if got, want := new(big.Int).Mod(a.F, big.NewInt(prime)).Uint64(), modulo(tenMillion, prime); got != want {
		t.Errorf("modulo %d it is %d, want %d", prime, got, want)
	}
	// and in its length.
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(2_089_876), nil)
	if a.Digits != 2_089_877 || a.F.Cmp(limit) < 0 || a.F.Cmp(limit.Mul(limit, big.NewInt(10))) >= 0 {
		t.Errorf("it has %d digits", a.Digits)
	}
}

func TestTheClockGoesOnWhileARunnerComputes(t *testing.T) {
	// Given a runner that computes,
	_, server := open(t)
	var wg sync.WaitGroup
	computed := make(chan struct{})
	wg.Go(func() {
		defer close(computed)
		if status, body := get(t, server, fmt.Sprintf("/fibonacci/%d", tenMillion)); status != http.StatusOK {
			t.Errorf("%d: %s", status, body)
		}
	})
	// when the clock is asked all the time,
	answers, slowest := 0, time.Duration(0)
	for busy := true; busy; {
		begun := time.Now()
		if status, body := get(t, server, "/clock"); status != http.StatusOK || body == "" {
			t.Fatalf("%d: %q", status, body)
		}
		slowest = max(slowest, time.Since(begun))
		select {
		case <-computed:
			busy = false
		default:
			answers++
		}
	}
	wg.Wait()
	// then it has answered many times before the number was there.
	t.Logf("%d answers, the slowest in %v", answers, slowest)
	if answers < 100 {
		t.Errorf("the clock answered %d times only", answers)
	}
}

func TestSmallNumbers(t *testing.T) {
	_, server := open(t)
	for n, want := range map[int]string{
		0: "0", 1: "1", 2: "1", 3: "2", 4: "3", 5: "5", 10: "55", 63: "6557470319842", 64: "10610209857723",
		92: "7540113804746346429", 93: "12200160415121876738", 100: "354224848179261915075",
	} {
		status, body := get(t, server, fmt.Sprintf("/fibonacci/%d", n))
		var a answer
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			t.Fatalf("F(%d): %d %q: %v", n, status, body, err)
		}
		if status != http.StatusOK || a.Head != want || a.Tail != want || a.Digits != len(want) {
			t.Errorf("F(%d) is %s…%s of %d digits, want %s", n, a.Head, a.Tail, a.Digits, want)
		}
	}
}

func TestNumbersThatCannotBe(t *testing.T) {
	_, server := open(t)
	for _, n := range []string{"-1", "20000001", "99999999999999999999999", "x", "1.5", "1e3", "0x10", "%20"} {
		if status, body := get(t, server, "/fibonacci/"+n); status != http.StatusBadRequest || body != "n is a number from 0 to 20000000\n" {
			t.Errorf("%s: %d %q", n, status, body)
		}
	}
}

func TestThePageIsServedAndNothingElse(t *testing.T) {
	_, server := open(t)
	if status, body := get(t, server, "/"); status != http.StatusOK || !strings.Contains(body, "<title>Fibonacci on a runner</title>") {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := get(t, server, "/other"); status != http.StatusNotFound {
		t.Errorf("/other: %d", status)
	}
}

func TestAPoolThatIsClosedIsSaid(t *testing.T) {
	pool, server := open(t)
	pool.Close()
	if status, body := get(t, server, "/fibonacci/1"); status != http.StatusServiceUnavailable || !strings.Contains(body, "closed") {
		t.Errorf("%d %q", status, body)
	}
}
