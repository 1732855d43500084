// Package dev keeps a cluster for development on this computer: k3s in Docker,
// by k3d.
//
// It keeps the promise that it touches nothing but its own cluster: every
// command line names it, the current context of the kubeconfig stays what it
// was, and what is to be deleted is named before it is.
package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Tools runs programs of this computer; Programs is the real one.
type Tools interface {
	// Find reports whether a program is there.
	Find(name string) error
	// Run runs a program to its end and returns its standard output. seen is
	// told of each line that it prints; it may be nil. An error has what the
	// program said on standard error.
	Run(ctx context.Context, argv []string, seen func(line string)) ([]byte, error)
}

// Cluster is one k3d cluster.
type Cluster struct {
	Tools Tools
	// Name is k3d's name of it, such as dev.
	Name string
	// Version is the k3s release that a new one runs, such as v1.36.4+k3s1;
	// empty leaves it to k3d.
	Version string
	// Port is where its ingress listens on loopback.
	Port int
	// Note tells what is going on; it may be nil.
	Note func(text string)
}

// Context is the cluster's name in the kubeconfig.
func (c Cluster) Context() string { return "k3d-" + c.Name }

// Ready says what is missing on this computer, if anything.
func (c Cluster) Ready(ctx context.Context) error {
	for _, p := range []struct{ name, next string }{
		{"docker", "install Docker (`sudo apt-get install docker.io`, or Docker Desktop), then run the same command again"},
		{"k3d", "install k3d as https://k3d.io says, then run the same command again; without it, `make demo` runs everything in an emulated PC"},
	} {
		if err := c.Tools.Find(p.name); err != nil {
			return &fault.Error{Code: fault.ToolMissing, Op: "look for " + p.name, Err: err, Next: p.next}
		}
	}
	if _, err := c.Tools.Run(ctx, []string{"docker", "version", "--format", "{{.Server.Version}}"}, nil); err != nil {
		return failed("ask Docker's daemon", err, "start Docker (`sudo systemctl start docker`, or Docker Desktop), and see `docker version`")
	}
	return nil
}

// Exists reports whether there is such a cluster, running or not.
func (c Cluster) Exists(ctx context.Context) (bool, error) {
	out, err := c.Tools.Run(ctx, []string{"k3d", "cluster", "list", "--output", "json"}, nil)
	if err != nil {
		return false, failed("list the clusters of k3d", err, "")
	}
	return listed(out, c.Name)
}

func listed(out []byte, name string) (bool, error) {
	var clusters []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(out, &clusters); err != nil {
		return false, failed("read what k3d lists", err, "use k3d 5 or newer: `k3d version`")
	}
	for _, found := range clusters {
		if found.Name == name {
			return true, nil
		}
	}
	return false, nil
}

// Up makes the cluster, or starts the one that is there, and adds its context
// to the kubeconfig. It reports whether the cluster is new.
func (c Cluster) Up(ctx context.Context) (bool, error) {
	exists, err := c.Exists(ctx)
	if err != nil {
		return false, err
	}
	if !exists {
		return true, c.run(ctx, "make the cluster "+c.Name, c.createArgs())
	}
	// Harmless for one that runs.
	if err := c.run(ctx, "start the cluster "+c.Name, []string{"k3d", "cluster", "start", c.Name, "--wait", "--timeout", "5m"}); err != nil {
		return false, err
	}
	return false, c.run(ctx, "write the context "+c.Context(),
		[]string{"k3d", "kubeconfig", "merge", c.Name, "--kubeconfig-merge-default", "--kubeconfig-switch-context=false"})
}

func (c Cluster) createArgs() []string {
	args := []string{
		"k3d", "cluster", "create", c.Name, "--wait", "--timeout", "5m",
		// Loopback only: neither the API, which k3d would show to everybody, nor
		// the application is the business of the network that this computer is in.
		"--api-port", "127.0.0.1:random",
		"--port", "127.0.0.1:" + strconv.Itoa(c.Port) + ":80@loadbalancer",
		"--kubeconfig-update-default", "--kubeconfig-switch-context=false",
	}
	if c.Version != "" {
		// A tag cannot hold the plus sign of k3s's versions.
		args = append(args, "--image", "rancher/k3s:"+strings.ReplaceAll(c.Version, "+", "-"))
	}
	return args
}

// Load brings images into the cluster, those that Docker lacks from their
// registries first: the cluster's own pulls fail wherever its view of DNS does.
func (c Cluster) Load(ctx context.Context, images []string) error {
	if len(images) == 0 {
		return errors.New("there is no image to load")
	}
	for _, image := range images {
		if strings.HasPrefix(image, "-") {
			return fault.New(fault.Usage, "give the name of an image, as in ssg:dev", "%q is no image", image)
		}
		if _, err := c.Tools.Run(ctx, []string{"docker", "image", "inspect", "--format", "{{.Id}}", image}, nil); err == nil {
			continue
		}
		if err := c.run(ctx, "fetch "+image, []string{"docker", "pull", image}); err != nil {
			return err
		}
	}
	args := append([]string{"k3d", "image", "import", "--cluster", c.Name}, slices.Clone(images)...)
	return c.run(ctx, "import the images into "+c.Name, args)
}

// Down deletes the cluster and its context.
func (c Cluster) Down(ctx context.Context) error {
	return c.run(ctx, "delete the cluster "+c.Name, []string{"k3d", "cluster", "delete", c.Name})
}

func (c Cluster) run(ctx context.Context, what string, argv []string) error {
	seen := func(string) {}
	if c.Note != nil {
		seen = c.Note
		seen(what)
	}
	if _, err := c.Tools.Run(ctx, argv, seen); err != nil {
		return failed(what, err, "")
	}
	return nil
}

// failed is a failure of docker or k3d, with what they said.
func failed(what string, err error, next string) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	f := &fault.Error{Code: fault.ToolFailed, Op: what, Err: err, Next: next}
	var said *SaidError
	if errors.As(err, &said) {
		f.Evidence = said.Said
	}
	return f
}
