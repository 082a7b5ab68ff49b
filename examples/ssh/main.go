// Command ssh runs a function on another machine that ssh reaches. It brings its own executable there first:
//
//	go build -o /tmp/app ./examples/ssh && /tmp/app -dial 192.0.2.1 user@host
//
// backend.go is all that it takes for flame to use machines in a way that it does not know.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/fleetinglambda/flame"
)

func main() {
	path := flag.String("path", "/tmp/flame-ssh", "where the executable is put over there")
	dial := flag.String("dial", "127.0.0.1", "this machine's address, seen from there")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: ssh [-path FILE] [-dial ADDRESS] [SSH OPTIONS…] HOST")
		flag.PrintDefaults()
	}
	flag.Parse()
	flame.ServeIfRunner()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	m := machine{ssh: append([]string{"ssh", "-o", "BatchMode=yes"}, flag.Args()...), path: *path, dial: *dial}
	if err := run(context.Background(), m); err != nil {
		log.Fatal(err)
	}
}

// run asks the machine what it is.
func run(ctx context.Context, m machine) error {
	if err := m.bring(ctx); err != nil {
		return err
	}
	pool, err := flame.Open(ctx, flame.Config{Name: "ssh", Max: 2, Backend: m})
	if err != nil {
		return err
	}
	defer pool.Close()
	here, err := os.Hostname()
	if err != nil {
		return err
	}
	there, err := flame.Call(ctx, pool, func(context.Context) (string, error) {
		name, err := os.Hostname()
		return fmt.Sprintf("hello, %s, from %s with %d CPUs, process %d", here, name, runtime.NumCPU(), os.Getpid()), err
	})
	fmt.Println(there)
	return err
}

// quoted returns words as a shell reads them.
func quoted(words ...string) string {
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// bring copies this executable to where the machine will run it.
func (m machine) bring(ctx context.Context) error {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	path := quoted(m.path)
	copying := exec.CommandContext(ctx, m.ssh[0], append(m.ssh[1:len(m.ssh):len(m.ssh)], "cat >"+path+".new && chmod 700 "+path+".new && mv "+path+".new "+path)...)
	copying.Stdin = self
	if out, err := copying.CombinedOutput(); err != nil {
		return fmt.Errorf("bring the executable to %s: %w: %s", m.path, err, out)
	}
	return nil
}
