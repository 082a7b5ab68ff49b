package runner

import "context"

// attemptKey is the key of a context's attempt.
type attemptKey struct{}

// withAttempt returns ctx for the n-th run of a call. The first is what a context says that says nothing.
func withAttempt(ctx context.Context, n int) context.Context {
	if n <= 1 {
		return ctx
	}
	return context.WithValue(ctx, attemptKey{}, n)
}

// Attempt returns which run of its call the function with this context is.
func Attempt(ctx context.Context) int {
	if n, ok := ctx.Value(attemptKey{}).(int); ok {
		return n
	}
	return 1
}
