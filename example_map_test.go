//go:build linux

package flame_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetinglambda/flame"
)

func ExampleMap() {
	ctx := context.Background()
	pool, err := flame.Open(ctx, flame.Config{MaxConcurrency: 4})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	lines := strings.Lines("to be\nor not\nto be\n") // any iter.Seq, also one without an end
	stop := []string{"or", "to"}                     // sent to each runner once
	for rest, err := range flame.Map(ctx, pool, lines, func(_ context.Context, line string) (string, error) {
		words := slices.DeleteFunc(strings.Fields(line), func(w string) bool { return slices.Contains(stop, w) })
		return strings.Join(words, " "), nil
	}) {
		if err != nil {
			fmt.Println(err) // of this line only
			continue
		}
		fmt.Println(rest)
	}
	// Output:
	// be
	// not
	// be
}
