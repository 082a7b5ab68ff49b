// Package house holds no code, only tests: the rules of this repository that a machine can check.
package house
