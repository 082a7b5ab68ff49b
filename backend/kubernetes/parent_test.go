//go:build linux

package kubernetes_test

func parentProgram() {}
