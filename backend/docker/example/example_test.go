//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// built is the example, built as its page says, and its image.
type built struct {
	dir, image, socket, group string
}

// build builds it. Without an engine that is reached by a socket, or without its command line, the test is skipped.
func build(t *testing.T) *built {
	t.Helper()
	b := &built{dir: t.TempDir(), image: fmt.Sprintf("flame-example:%d", os.Getpid()), socket: "/var/run/docker.sock"}
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		b.socket = strings.TrimPrefix(host, "unix://")
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		t.Skipf("skipped: no Docker Engine can be reached with the command docker (DOCKER_HOST says which; scripts/docker starts one, as root): %v: %s", err, out)
	}
	info, err := os.Stat(b.socket)
	if err != nil {
		t.Skipf("skipped: the engine is not reached by a socket of this host, which a container could be given: %v", err)
	}
	b.group = fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid)
	for _, name := range []string{"Dockerfile", "compose.yaml"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(b.dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	compile := exec.Command("go", "build", "-o", filepath.Join(b.dir, "app"), ".")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.docker(t, "build", "-t", b.image, ".")
	t.Cleanup(func() { b.docker(t, "rmi", "-f", b.image) })
	return b
}

// docker runs the command docker where the example was built, and returns what it prints on stdout.
func (b *built) docker(t *testing.T, args ...string) string {
	t.Helper()
	return b.run(t, append([]string{"docker"}, args...)...)
}

func (b *built) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = b.dir, t.Output()
	cmd.Env = append(os.Environ(), "DOCKER_GROUP="+b.group, "DOCKER_SOCKET="+b.socket)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
	return string(out)
}

var line = regexp.MustCompile(`(\d+) primes from (\d+) on, says ([0-9a-f]{12})\n`)

// counted checks what the example has printed, and that its runners are gone.
func (b *built) counted(t *testing.T, out string) {
	t.Helper()
	said, hosts := "", map[string]bool{}
	for _, m := range line.FindAllStringSubmatch(out, -1) {
		said += m[1] + " "
		hosts[m[3]] = true
	}
	if said != "1229 1033 983 958 " || len(hosts) == 0 || len(hosts) > 2 {
		t.Errorf("it printed %q", out)
	}
	if left := b.docker(t, "ps", "-q", "--filter", "label=flame.pool=example"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}

func TestF15_TheImageOfThePageIsBuiltAndItsRunnersAreOfIt(t *testing.T) {
	b := build(t)
	b.counted(t, b.docker(t, "run", "--rm", "-v", b.socket+":/var/run/docker.sock", b.image))
	// And so with as few rights as there are.
	b.counted(t, b.docker(t, "run", "--rm", "-v", b.socket+":/var/run/docker.sock",
		"--read-only", "--cap-drop", "ALL", "--user", "65534:65534", "--group-add", b.group, b.image))
}

func TestF15_TheComposeFileOfThePageRuns(t *testing.T) {
	b := build(t)
	compose := []string{"docker", "compose"}
	if exec.Command("docker", "compose", "version").Run() != nil {
		compose = []string{"docker-compose"}
		if _, err := exec.LookPath("docker-compose"); err != nil {
			t.Skip("skipped: there is neither docker compose nor docker-compose (as root on Debian: apt-get install docker-compose)")
		}
	}
	b.docker(t, "tag", b.image, "app")
	t.Cleanup(func() { b.docker(t, "rmi", "app") })
	compose = append(compose, "-p", fmt.Sprint("flame", os.Getpid()))
	t.Cleanup(func() { b.run(t, append(compose, "down")...) })
	b.counted(t, b.run(t, append(compose, "run", "--rm", "app")...))
}

func TestThePageShowsTheseFiles(t *testing.T) {
	page, err := os.ReadFile("../../../docs/docker.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, language := range map[string]string{"Dockerfile": "Dockerfile", "compose.yaml": "yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "```"+language+"\n"+string(text)+"```") {
			t.Errorf("docs/docker.md shows another %s than this folder has: put that in between its ```%s and ```", name, language)
		}
	}
}
