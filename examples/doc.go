// Package examples holds whole programs that show what flame is for, one in each folder.
// Every one runs with "go run" on one machine and needs nothing else, but for ffmpeg in thumbs.
package examples
