package flame

import (
	"context"

	"github.com/fleetinglambda/flame/internal/runner"
)

// Attempt says which run of its call a function is, by the context that it has got: 1, and with [Retry] 2 and so on.
func Attempt(ctx context.Context) int { return runner.Attempt(ctx) }
