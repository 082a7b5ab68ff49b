//go:build !linux

package session

import "errors"

func socketpair() ([2]int, error) { return [2]int{}, errors.ErrUnsupported }
