// Package e2e holds the tests that need whole programs: built in every way that Go can build them,
// run as processes of their own, and looked at from outside.
package e2e
