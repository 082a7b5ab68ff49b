package fly

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// homeKey is the key in a machine's metadata under which the app and the machine of its parent are; "" if that is elsewhere.
const homeKey = "flame_home"

// Reap destroys the machines of parents whose own machine is gone, or stopped. It returns their names. Of a parent elsewhere, and
// of one whose app the token may not look into, it says nothing. It needs no settings but a token and an app.
func (f *platform) Reap(ctx context.Context, dryRun bool) ([]string, error) {
	if err := f.checkAccess(); err != nil {
		return nil, err
	}
	all, err := f.api.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("fly: list the machines of app %s: %w", f.options.App, err)
	}
	known := map[string]bool{"": false, f.own: false} // homes that are gone
	var reaped []string
	var failed []error
	for _, m := range all {
		home := m.Config.Metadata[homeKey]
		gone, asked := known[home]
		var err error
		if !asked {
			gone, err = f.isGone(ctx, home)
			known[home] = gone
		}
		if err == nil && gone && !dryRun {
			err = f.api.destroy(ctx, m.ID)
		}
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("fly: machine %s: %w", m.ID, err))
		case gone:
			reaped = append(reaped, m.Name)
		}
	}
	return reaped, errors.Join(failed...)
}

// isGone says whether the machine of a parent is.
func (f *platform) isGone(ctx context.Context, home string) (bool, error) {
	app, id, ok := strings.Cut(home, "/")
	if !ok {
		return false, nil
	}
	m, err := f.api.get(ctx, app, id)
	if is(err, http.StatusNotFound) {
		return true, nil
	}
	return err == nil && (m.State == "destroyed" || m.State == "destroying" || m.State == "stopped"), err
}
