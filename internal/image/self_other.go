//go:build !linux

package image

func self() (*Image, error) { return nil, unsupported() }
