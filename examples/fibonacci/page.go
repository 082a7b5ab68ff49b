package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/fleetinglambda/flame"
)

//go:embed page.html
var page []byte

// maxN bounds what one visitor can ask for.
const maxN = 20_000_000

// handler serves the page, its clock, and the numbers.
func handler(pool *flame.Pool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /clock", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, time.Now().Format("15:04:05.0"))
	})
	mux.HandleFunc("GET /fibonacci/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n > maxN {
			http.Error(w, fmt.Sprintf("n is a number from 0 to %d", maxN), http.StatusBadRequest)
			return
		}
		a, err := compute(r.Context(), pool, n)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(a)
	})
	return mux
}

// answer is what the page shows of a number.
type answer struct {
	F      *big.Int `json:"-"`
	Digits int      `json:"digits"`
	Head   string   `json:"head"`
	Tail   string   `json:"tail"`
	PID    int      `json:"pid"`    // of the runner
	Parent int      `json:"parent"` // of the web server
	Took   string   `json:"took"`
}

// compute has a runner compute the n-th Fibonacci number.
func compute(ctx context.Context, pool *flame.Pool, n int) (*answer, error) {
	start := time.Now()
	a, err := flame.Call(ctx, pool, func(context.Context) (*answer, error) {
		// This runs on a runner, and the *big.Int goes back as it is.
		f := fibonacci(n)
		text := f.Text(10)
		cut := min(len(text), 30)
		return &answer{F: f, Digits: len(text), Head: text[:cut], Tail: text[len(text)-cut:], PID: os.Getpid()}, nil
	})
	if err != nil {
		return nil, err
	}
	a.Parent, a.Took = os.Getpid(), time.Since(start).Round(100*time.Microsecond).String()
	return a, nil
}

// fibonacci returns F(n), by F(2k) = F(k)·(2F(k+1)−F(k)) and F(2k+1) = F(k)²+F(k+1)².
func fibonacci(n int) *big.Int {
	a, b := big.NewInt(0), big.NewInt(1) // F(k), F(k+1)
	for bit := 63; bit >= 0; bit-- {
		twice := new(big.Int).Lsh(b, 1)
		even := twice.Mul(twice.Sub(twice, a), a)
		a.Mul(a, a)
		odd := a.Add(a, b.Mul(b, b))
		if a, b = even, odd; n>>bit&1 == 1 {
			a, b = odd, new(big.Int).Add(even, odd)
		} else {
			b = new(big.Int).Set(odd)
		}
	}
	return a
}
