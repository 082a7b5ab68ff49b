//go:build unix

// Command soak puts a mixed load on pools of processes for a given time: one whose runners inherit a socket, one whose
// runners dial over TLS, and one whose calls have processes of their own. Meanwhile it kills and stops runners, and breaks and
// stalls connections. At the end it says how every call ended, what was wrong, and what is left.
//
//	go run ./internal/soak -for 1h
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fleetinglambda/flame"
	"github.com/fleetinglambda/flame/internal/load"
)

// journals is the variable that tells runners in which folder the journal of their pool is.
const journals = "FLAME_SOAK_JOURNALS"

func main() {
	long := flag.Duration("for", time.Minute, "how long the load lasts")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "chooses what happens")
	rate := flag.Duration("every", 20*time.Millisecond, "how often something begins on each pool, on average")
	flag.Parse()
	journal := load.NewJournal(nil) // functions write on their runner
	if info, ok := flame.Parent(); ok {
		journal = runnersJournal(info.Pool)
	}
	flame.PerProcess("journal", journal)
	flame.ServeIfRunner()
	wrong, err := soak(journal, *long, *rate, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	if wrong > 0 {
		os.Exit(1)
	}
}

// runnersJournal is what the functions on this runner write.
func runnersJournal(pool string) *load.Journal {
	file, err := os.OpenFile(filepath.Join(os.Getenv(journals), pool), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	return load.NewJournal(file)
}

// soak returns how much was wrong.
func soak(journal *load.Journal, long, every time.Duration, seed uint64) (wrong int, err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Setenv(journals, dir); err != nil {
		return 0, err
	}

	base := look()
	fmt.Printf("seed %d, %v, a call every %v on each of 3 pools\n", seed, long, every)
	var watch watch
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	var pools []*soaked
	for i, name := range []string{"inherited", "dialled", "percall"} {
		s, err := open(name, journal, seed+uint64(i))
		if err != nil {
			return 0, err
		}
		pools = append(pools, s)
	}
	var wg sync.WaitGroup
	for _, s := range pools {
		wg.Go(func() { s.play(ctx, every) })
	}
	wg.Go(func() { watch.run(ctx, long) })
	wg.Wait()
	for _, s := range pools {
		n, err := s.sumUp(dir)
		if err != nil {
			return 0, err
		}
		wrong += n
	}
	return wrong + watch.sumUp(base, pools), nil
}
