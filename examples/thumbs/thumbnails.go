package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"os/exec"
	"time"
)

// thumb is a picture from a video.
type thumb struct {
	At   float64 `json:"at"` // seconds from the beginning
	JPEG []byte  `json:"jpeg"`
}

// generate has ffmpeg read a video and sends a thumbnail of every so much of it, as soon as that much has been read.
func generate(ctx context.Context, video io.Reader, every time.Duration, thumbs chan<- thumb) error {
	in := bufio.NewReader(video)
	if indexIsLast(in) {
		return errIndexIsLast
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error",
		"-protocol_whitelist", "pipe", // a playlist that names other files reads none
		"-i", "pipe:0", "-vf", fmt.Sprintf("fps=1/%f,scale=320:-2", every.Seconds()),
		"-c:v", "mjpeg", "-q:v", "4", "-f", "mpjpeg", "pipe:1")
	var said tail
	cmd.Stdin, cmd.Stderr = in, &said
	cmd.WaitDelay = time.Second // it may end before the upload does
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("%w: install ffmpeg where the runners are, as with apt-get install ffmpeg", err)
	}
	n, err := send(ctx, out, every, thumbs)
	exit := cmd.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(err, said.explain(n, exit))
}

// send sends every picture of a stream of them, and returns how many there were. ffmpeg writes them as a browser reads
// the parts of a form: with a boundary between them.
func send(ctx context.Context, pictures io.Reader, every time.Duration, thumbs chan<- thumb) (n int, err error) {
	parts := multipart.NewReader(pictures, "ffmpeg")
	for ; ; n++ {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		jpeg, err := io.ReadAll(part)
		if err != nil {
			return n, err
		}
		select {
		case thumbs <- thumb{At: float64(n) * every.Seconds(), JPEG: jpeg}:
		case <-ctx.Done():
			return n, context.Cause(ctx)
		}
	}
}

var errIndexIsLast = errors.New("this file has its index at its end, so nobody can look into it before all of it is there: " +
	"move the index to the front with “ffmpeg -i video.mp4 -c copy -movflags +faststart new.mp4”, and upload new.mp4")

// indexIsLast says whether a video begins as an MP4 or MOV that has its pictures (mdat) before its index (moov).
func indexIsLast(in *bufio.Reader) bool {
	head, _ := in.Peek(256) // what is shorter is no video
	for len(head) >= 8 {
		size, kind := binary.BigEndian.Uint32(head), string(head[4:8])
		switch kind {
		case "mdat":
			return true
		case "ftyp", "free", "wide", "skip", "uuid":
			head = head[min(max(8, int(size)), len(head)):]
		default:
			return false
		}
	}
	return false
}

// tail is the end of what ffmpeg says.
type tail []byte

func (t *tail) Write(b []byte) (int, error) {
	const most = 1 << 10
	*t = append(*t, b...)
	*t = (*t)[max(0, len(*t)-most):]
	return len(b), nil
}

// explain says why ffmpeg ended after n thumbnails, if not because the video did.
func (t *tail) explain(n int, exit error) error {
	var failed *exec.ExitError
	lines := bytes.Split(bytes.TrimSpace(*t), []byte("\n"))
	last := bytes.TrimPrefix(lines[len(lines)-1], []byte("pipe:0: "))
	switch {
	case n > 0 && (exit == nil || errors.Is(exit, exec.ErrWaitDelay)):
		return nil // it needed no more of the upload
	case exit != nil && !errors.As(exit, &failed):
		return fmt.Errorf("the upload broke off: %w", exit)
	case n == 0:
		return fmt.Errorf("ffmpeg finds no video in this file (%s)", last)
	}
	return fmt.Errorf("ffmpeg gave up after thumbnail %d (%s)", n, last)
}
