package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/moby/moby/client"

	"github.com/fleetinglambda/flame/backend"
	"github.com/fleetinglambda/flame/backend/docker"
	"github.com/fleetinglambda/flame/backend/fly"
	"github.com/fleetinglambda/flame/backend/kubernetes"
)

// gc removes what dead parents have left: what pools do when they are opened, and every ten minutes, by hand.
func gc() *command {
	return &command{
		name:  "gc",
		short: "lists runners whose parent is gone, and removes them with -yes",
		long: `
Runners end by themselves when their parent does, and pools remove what could not. This is for what is left when no program
with a pool is there any more. Only what belongs to a parent that is certainly gone is listed: a parent that cannot be seen from
here is never judged.`,
		commands: []*command{gcDocker(), gcFly(), gcKubernetes()},
	}
}

func gcDocker() *command {
	return &command{
		name:  "docker",
		short: "lists containers whose parent is gone, and removes them with -yes",
		long: `
The parent was a container of the same engine that has gone or does not run, or a process of this host: run it where the parent
ran. The names of the containers are on stdout, one a line.`,
		flags: func(set *flag.FlagSet) action {
			host := set.String("host", "", "where the engine is: `unix:///path` or tcp://host:port (default: as DOCKER_HOST says)")
			yes := removing(set)
			return func(ctx context.Context, out, notes io.Writer) error {
				from := client.FromEnv
				if *host != "" {
					from = client.WithHost(*host)
				}
				c, err := client.New(from)
				if err != nil {
					return fmt.Errorf("%w: is -host, or DOCKER_HOST, as it should be?", err)
				}
				defer c.Close()
				err = collect(ctx, docker.New(docker.Options{Client: c}), "container", "flame gc docker -yes", *yes, out, notes)
				if err != nil && client.IsErrConnectionFailed(err) {
					return fmt.Errorf("%w: start it, or name another with -host", err)
				}
				return err
			}
		},
	}
}

func gcFly() *command {
	return &command{
		name:  "fly",
		short: "lists Fly Machines whose parent is gone, and destroys them with -yes",
		long: `
The parent was a machine that is gone or stopped. The names of the machines are on stdout, one a line. The token is in
FLY_API_TOKEN:

	FLY_API_TOKEN="$(fly tokens create deploy -a NAME)" flame gc fly -app NAME`,
		flags: func(set *flag.FlagSet) action {
			app := set.String("app", "", "the `name` of the app that runners belong to (default: FLY_APP_NAME)")
			url := set.String("url", "", "where the Machines API is (default: https://api.machines.dev)")
			yes := removing(set)
			return func(ctx context.Context, out, notes io.Writer) error {
				if os.Getenv("FLY_API_TOKEN") == "" {
					return errors.New(`FLY_API_TOKEN is not set: FLY_API_TOKEN="$(fly tokens create deploy -a NAME)" makes one for the app`)
				}
				if *app == "" && os.Getenv("FLY_APP_NAME") == "" {
					return errors.New("whose runners? Name the app with -app, or FLY_APP_NAME")
				}
				return collect(ctx, fly.New(fly.Options{App: *app, URL: *url}), "machine", "flame gc fly -yes", *yes, out, notes)
			}
		},
	}
}

func gcKubernetes() *command {
	return &command{
		name:  "kubernetes",
		short: "lists pods whose parent is gone, and deletes them with -yes",
		long: `
The parent was a pod that is gone or has ended, or a process of this host: run it where the parent ran. The names of the pods are on
stdout, one a line. Which cluster it is KUBECONFIG says, as it says to kubectl; in a pod, the token of its service account.`,
		flags: func(set *flag.FlagSet) action {
			namespace := set.String("namespace", "", "the `name` of the namespace that runners are in (default: that of the kubeconfig or the own pod)")
			yes := removing(set)
			return func(ctx context.Context, out, notes io.Writer) error {
				return collect(ctx, kubernetes.New(kubernetes.Options{Namespace: *namespace}), "pod", "flame gc kubernetes -yes", *yes, out, notes)
			}
		},
	}
}

// removing is the flag without which nothing is removed.
func removing(set *flag.FlagSet) *bool {
	return set.Bool("yes", false, "remove them; without it nothing is removed")
}

// collect lists what a backend says that dead parents have left, or removes it.
func collect(ctx context.Context, b backend.Backend, kind, again string, yes bool, out, notes io.Writer) error {
	found, err := b.(backend.Reaper).Reap(ctx, !yes)
	for _, name := range found {
		fmt.Fprintln(out, name)
	}
	if len(found) != 1 {
		kind += "s"
	}
	switch {
	case len(found) == 0 && err == nil:
		fmt.Fprintf(notes, "no %s of a parent that is gone\n", kind)
	case len(found) > 0 && yes:
		fmt.Fprintf(notes, "removed %d %s whose parent is gone\n", len(found), kind)
	case len(found) > 0:
		fmt.Fprintf(notes, "%d %s whose parent is gone; nothing was removed: %s does\n", len(found), kind, again)
	}
	return err
}
