package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// gateway is a real S3 server on this machine, with objects kept as files.
type gateway struct {
	endpoint, key, secret string

	dir    string // has a directory for each bucket
	client *s3.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup // the process
}

// installGateway returns the server's program, which is built once for this user.
func installGateway(t *testing.T) string {
	t.Helper()
	const version = "v1.8.0"
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no place to keep an S3 server: %v", err)
	}
	program := filepath.Join(cache, "flame-examples", "versitygw-"+version)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Skipf("no place to keep an S3 server: %v", err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(program), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	cmd := exec.CommandContext(t.Context(), "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+fresh, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("no S3 server: it cannot be installed from here: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(fresh, "versitygw"), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// startGateway starts a server for the time of the test, with keys of its own.
func startGateway(t *testing.T) *gateway {
	t.Helper()
	program := installGateway(t)
	g := &gateway{key: rand.Text(), secret: rand.Text(), dir: t.TempDir()}
	var ctx context.Context
	ctx, g.cancel = context.WithCancel(t.Context())
	t.Cleanup(g.kill)
	out := ""
	for range 3 { // another may take the port
		if out = g.start(ctx, t, program, freeAddress(t)); out == "" {
			g.client = g.newClient(g.secret)
			return g
		}
	}
	t.Fatalf("the S3 server does not start:\n%s", out)
	return nil
}

// start returns "" when the server says that it listens, or all it has said when it ends before.
func (g *gateway) start(ctx context.Context, t *testing.T, program, address string) string {
	t.Helper()
	said := &banner{up: make(chan struct{})}
	cmd := exec.CommandContext(ctx, program, "--port", address, "posix", "--sidecar", t.TempDir(), g.dir)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + g.key, "ROOT_SECRET_KEY=" + g.secret, "HOME=" + t.TempDir()}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.endpoint = "http://" + address
	gone := make(chan struct{})
	g.wg.Go(func() {
		defer close(gone)
		cmd.Wait()
	})
	select {
	case <-said.up:
		return ""
	case <-gone:
		return "(" + cmd.ProcessState.String() + ") " + said.text.String()
	}
}

// kill ends the server's process and waits until it has.
func (g *gateway) kill() {
	g.cancel()
	g.wg.Wait()
}

// banner is what the server prints, until it listens.
type banner struct {
	text bytes.Buffer
	up   chan struct{} // closed by Write
	done bool
}

func (b *banner) Write(p []byte) (int, error) {
	if b.text.Write(p); !b.done && bytes.Contains(b.text.Bytes(), []byte("listening on")) {
		b.done = true
		close(b.up)
	}
	return len(p), nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// newClient returns a client of the server, with patience: the server says that it listens a moment before it does.
func (g *gateway) newClient(secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &g.endpoint, Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 10,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: g.key, SecretAccessKey: secret}, nil
		}),
	})
}

// env is the environment for a program that uses the server, and nothing else of the user's. Later variables win.
func (g *gateway) env(more ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return append(append(env, "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "AWS_REGION=us-east-1", "AWS_ENDPOINT_URL="+g.endpoint,
		"AWS_ACCESS_KEY_ID="+g.key, "AWS_SECRET_ACCESS_KEY="+g.secret), more...)
}

// upload makes a bucket with these objects.
func (g *gateway) upload(t *testing.T, bucket string, objects map[string]string) {
	t.Helper()
	ctx := t.Context()
	if _, err := g.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	for key, content := range objects {
		if len(content) > partBytes {
			g.uploadParts(t, bucket, key, content)
			continue
		}
		put := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content)}
		if _, err := g.client.PutObject(ctx, put); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
}

const partBytes = 5 << 20 // the smallest that S3 takes, but for the last

// uploadParts uploads one object in parts.
func (g *gateway) uploadParts(t *testing.T, bucket, key, content string) {
	t.Helper()
	ctx := t.Context()
	upload, err := g.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	done := &types.CompletedMultipartUpload{}
	for rest := strings.NewReader(content); rest.Len() > 0; {
		part := make([]byte, min(partBytes, rest.Len()))
		io.ReadFull(rest, part)
		n := aws.Int32(int32(len(done.Parts) + 1))
		out, err := g.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &bucket, Key: &key, UploadId: upload.UploadId, PartNumber: n, Body: bytes.NewReader(part),
		})
		if err != nil {
			t.Fatal(err)
		}
		done.Parts = append(done.Parts, types.CompletedPart{ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, PartNumber: n})
	}
	if _, err := g.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: upload.UploadId, MultipartUpload: done,
	}); err != nil {
		t.Fatal(err)
	}
}
