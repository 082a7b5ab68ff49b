package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// oddObjects have keys that are hard to ask for, and sizes from nothing to some parts.
func oddObjects() map[string]string {
	objects := map[string]string{"empty": "", "parts": strings.Repeat("0123456789abcdef", 700_000)}
	for _, key := range []string{
		"a b", " spaces  around ", "plus+plus", "100%", "%41", "%2F", "ü", "ünïcode/日本", `"quotes'`, "<a>&amp;b", "a=b&c=d",
		"#hash", "what?", "~tilde", "*star", "-dash", "colon:", "semi;colon", "comma,", "$var", "[x]{y}|z^", `back\slash`,
		"sub/deep/file", "sub/deep/other", "subway", "line\nbreak",
	} {
		objects[key] = key
	}
	for i := range 300 {
		objects[fmt.Sprintf("many/%d", i)] = strings.Repeat(fmt.Sprint(i%10), i*i)
	}
	return objects
}

// mirror writes objects to files of the same names: to sha256sum s3://bucket/key is a path, too.
func mirror(t *testing.T, bucket string, objects map[string]string) (dir string) {
	t.Helper()
	files := map[string]string{}
	for key, content := range objects {
		files["s3:/"+bucket+"/"+key] = content
	}
	return tree(t, files)
}

// sha256sum runs it in a directory and returns what it prints.
func sha256sum(t *testing.T, dir string, stdin io.Reader, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sha256sum", args...)
	cmd.Dir, cmd.Stdin = dir, stdin
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Skipf("not compared with sha256sum: %v", err)
	}
	return string(out)
}

func TestObjectsAreHashedAsFilesAre(t *testing.T) {
	// Given objects in a real S3 server, and files of the same names,
	g, program, objects := startGateway(t), build(t), oddObjects()
	g.upload(t, "bucket", objects)
	dir := mirror(t, "bucket", objects)
	want := sums("s3://bucket", objects)

	// when the program hashes the bucket, then it prints every sum and not a word beside them,
	stdout, stderr, code := startWith(t, g.env(), program, dir, "s3://bucket")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	lines := slices.Sorted(strings.Lines(stdout))
	if !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
	// the same again when the server is asked by name, which might have one in front of it for the bucket,
	byName := "AWS_ENDPOINT_URL=" + strings.Replace(g.endpoint, "127.0.0.1", "localhost", 1)
	if again, stderr, _ := startWith(t, g.env(byName), program, dir, "-runners=1", "s3://bucket"); again != stdout {
		t.Errorf("%s: got %q, stderr %q", byName, again, stderr)
	}
	// and sha256sum prints the same of the files.
	var names []string
	for key := range objects {
		names = append(names, "s3://bucket/"+key)
	}
	if theirs := slices.Sorted(strings.Lines(sha256sum(t, dir, nil, names...))); !slices.Equal(lines, theirs) {
		t.Errorf("sha256sum prints %q", theirs)
	}
}

func TestANameStandsForAnObjectOrForAllThatBeginSo(t *testing.T) {
	g, program := startGateway(t), build(t)
	g.upload(t, "bucket", map[string]string{"sub/a": "", "sub/b/c": "", "subway": "", "subways": "", "x/": "", "x/y": ""})
	g.upload(t, "empty", nil)
	dir := tree(t, map[string]string{"local": ""})
	for args, want := range map[string]string{
		"s3://bucket s3://empty":  "s3://bucket/sub/a s3://bucket/sub/b/c s3://bucket/subway s3://bucket/subways s3://bucket/x/ s3://bucket/x/y",
		"s3://bucket/subway":      "s3://bucket/subway",
		"s3://bucket/sub/":        "s3://bucket/sub/a s3://bucket/sub/b/c",
		"s3://bucket/subwa":       "s3://bucket/subway s3://bucket/subways",
		"s3://bucket/sub/b":       "s3://bucket/sub/b/c",
		"s3://bucket/sub/a local": "local s3://bucket/sub/a",
		"s3://bucket/x/":          "s3://bucket/x/ s3://bucket/x/y",
		"s3://empty/":             "",
	} {
		stdout, stderr, code := startWith(t, g.env(), program, dir, strings.Fields(args)...)
		var got []string
		for line := range strings.Lines(stdout) {
			got = append(got, strings.TrimSpace(line[66:]))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want || stderr != "" || code != 0 {
			t.Errorf("%s: %q, want %q; exit code %d, stderr %q", args, got, want, code, stderr)
		}
	}
}

func TestAListIsCheckedAsSha256sumChecksIt(t *testing.T) {
	// Given a list of files and objects, and what it names,
	g, program, objects := startGateway(t), build(t), oddObjects()
	g.upload(t, "bucket", objects)
	dir := mirror(t, "bucket", objects)
	if err := os.WriteFile(filepath.Join(dir, "local file"), []byte("local"), 0o644); err != nil {
		t.Fatal(err)
	}
	list, _, _ := startWith(t, g.env(), program, dir, "s3://bucket", "local file")
	check := func(list string, code int) (stdout, stderr string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "list"), []byte(list), 0o644); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, got := startWith(t, g.env(), program, dir, "-c", "list")
		if got != code {
			t.Errorf("exit code %d, want %d", got, code)
		}
		if theirs := sha256sum(t, dir, nil, "-c", "list"); stdout != theirs {
			t.Errorf("it prints\n%q, sha256sum prints\n%q", stdout, theirs)
		}
		return stdout, stderr
	}
	// when it is checked, then everything is as it says.
	stdout, stderr := check(list, 0)
	if n := strings.Count(stdout, ": OK\n"); n != len(objects)+1 || stderr != "" {
		t.Errorf("%d are as they were, stderr %q", n, stderr)
	}
	// When it is wrong about some, then these are named, and the others still are as it says.
	zero := strings.Repeat("0", 64)
	stdout, stderr = check(strings.ToUpper(zero)+" *s3://bucket/ü\n# a remark\n\n"+zero+"  s3://bucket/gone\nnonsense\n"+list, 1)
	if n := strings.Count(stdout, ": OK\n"); n != len(objects)+1 || !strings.Contains(stdout, "s3://bucket/ü: FAILED\n") {
		t.Errorf("got %q", stdout)
	}
	if want := "checksum: s3://bucket/gone: there is no such object (any more)\n" +
		"checksum: list:5: this is no line of sha256sum, which has 64 hexadecimal digits, two spaces and a name\n" +
		"checksum: of what the lists say, 3 could not be confirmed\n"; stderr != want {
		t.Errorf("stderr %q\nwant   %q", stderr, want)
	}
}

func TestWhatIsWrongWithS3IsSaidWithAWayOut(t *testing.T) {
	g, program, dir := startGateway(t), build(t), tree(t, map[string]string{"local": "1"})
	g.upload(t, "bucket", map[string]string{"a": "a"})
	nobody := freeAddress(t)
	const denied = ": check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and what they allow"
	for _, c := range []struct {
		name, env, stderr string
		sums              int
	}{
		{"s3://missing", "", "s3://missing: there is no such bucket: is its name right, and AWS_ENDPOINT_URL?", 1},
		{"s3://missing/a", "", "s3://missing/a: there is no such bucket: is its name right, and AWS_ENDPOINT_URL?", 1},
		{"s3://bucket/b", "", "s3://bucket/b: there is no such object, and none whose name begins so", 1},
		{"s3:///a", "", "s3:///a: it names no bucket: write s3://bucket/prefix", 1},
		{"s3://bucket", "AWS_SECRET_ACCESS_KEY=x", "s3://bucket: access denied (SignatureDoesNotMatch)" + denied, 1},
		{"s3://bucket/a", "AWS_ACCESS_KEY_ID=x", "s3://bucket/a: access denied (XAdminUserNotFound)" + denied, 1},
		{"s3://bucket/", "AWS_REGION=mars-1", "s3://bucket/: the bucket is in another region (AuthorizationHeaderMalformed): set AWS_REGION to it", 1},
		{"s3://bucket/a", "AWS_ENDPOINT_URL=http://" + nobody, "s3://bucket/a: dial tcp " + nobody +
			": connect: connection refused: is the server up, and AWS_ENDPOINT_URL right?", 1},
		{"s3://bucket/a", "AWS_ENDPOINT_URL=https" + strings.TrimPrefix(g.endpoint, "http"), "s3://bucket/a: " +
			"http: server gave HTTP response to HTTPS client: is AWS_ENDPOINT_URL right?", 1},
		{"s3://bucket", "AWS_ENDPOINT_URL=localhost", "S3: the endpoint is no URL: set AWS_ENDPOINT_URL to one like http://localhost:7070", 0},
		{"s3://bucket", "AWS_ACCESS_KEY_ID=", "S3: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE", 0},
		{"s3://bucket", "AWS_REGION=", "S3: no region: set AWS_REGION (to us-east-1, if the server is your own)", 0},
		{"s3://bucket", "AWS_PROFILE=x", "S3: the configuration cannot be used: failed to get shared config profile, x", 0},
	} {
		stdout, stderr, code := startWith(t, g.env(c.env), program, dir, c.name, "local")
		if n := strings.Count(stdout, "\n"); n != c.sums || stderr != "checksum: "+c.stderr+"\n" || code != 1 {
			t.Errorf("%s, %s: exit code %d, %d sums, stderr %q\nwant %q", c.name, c.env, code, n, stderr, c.stderr)
		}
		if strings.Contains(stderr, g.secret) || strings.Contains(stderr, g.key) {
			t.Errorf("%s, %s: there are credentials in %q", c.name, c.env, stderr)
		}
	}
	// What is wrong with S3 does not matter to those who do not use it.
	if _, stderr, code := startWith(t, g.env("AWS_PROFILE=x", "AWS_ENDPOINT_URL=%"), program, dir, "local"); code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

// midway starts the program on more objects than it can print without being read, calls then when it has printed the
// first, and returns what it prints altogether. All objects have been listed then, and the last ones not been read.
func midway(t *testing.T, g *gateway, program string, then func()) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-runners=1", "-concurrency=8", "s3://bucket")
	var problems bytes.Buffer
	cmd.Env, cmd.Stderr = g.env("AWS_MAX_ATTEMPTS="), &problems // as many as there usually are
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(pipe)
	first, _ := r.ReadString('\n')
	then()
	rest, _ := io.ReadAll(r)
	cmd.Wait()
	return first + string(rest), problems.String(), cmd.ProcessState.ExitCode()
}

// longNames are objects of which a pipe takes half the names.
func longNames() map[string]string {
	objects := map[string]string{}
	for i := range 200 {
		objects[strings.Repeat("x", 250)+"/"+strings.Repeat("y", 250)+fmt.Sprintf("/%03d", i)] = fmt.Sprint(i)
	}
	return objects
}

func TestAnObjectThatIsDeletedAfterItWasListed(t *testing.T) {
	// Given the program at work on objects,
	g, program, objects := startGateway(t), build(t), longNames()
	g.upload(t, "bucket", objects)
	bucket, last := "bucket", strings.Repeat("x", 250)+"/"+strings.Repeat("y", 250)+"/199"
	stdout, stderr, code := midway(t, g, program, func() {
		// when one is deleted that is listed and not read yet,
		if _, err := g.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: &last}); err != nil {
			t.Error(err)
		}
	})
	// then it is named, and the others are hashed.
	delete(objects, last)
	if lines := slices.Sorted(strings.Lines(stdout)); !slices.Equal(lines, sums("s3://bucket", objects)) {
		t.Errorf("got %d lines, %q", len(lines), lines)
	}
	if want := "checksum: s3://bucket/" + last + ": there is no such object (any more)\n"; stderr != want || code != 1 {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, want)
	}
}

func TestAServerThatDiesMidway(t *testing.T) {
	// Given the program at work on objects, when the server dies,
	g, program, objects := startGateway(t), build(t), longNames()
	g.upload(t, "bucket", objects)
	stdout, stderr, code := midway(t, g, program, g.kill)
	// then every object is either hashed or named with the reason, and the program says that it failed.
	good := slices.Collect(strings.Lines(stdout))
	all := sums("s3://bucket", objects)
	for _, line := range good {
		if !slices.Contains(all, line) {
			t.Errorf("%q is wrong", line)
		}
	}
	bad := 0
	for line := range strings.Lines(stderr) {
		bad++
		if !strings.HasPrefix(line, "checksum: s3://bucket/xxx") || !strings.Contains(line, "connect") {
			t.Errorf("stderr %q", line)
		}
	}
	if len(good)+bad != len(objects) || bad < 20 || code != 1 {
		t.Errorf("exit code %d, %d are hashed, %d are not", code, len(good), bad)
	}
}
