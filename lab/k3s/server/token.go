package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
)

// token prints the cluster's token. k3s's `token` manages the tokens of joining
// nodes; nothing joins here.
func token(w io.Writer, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("the lab's k3s stand-in does not have `k3s token %s`; `k3s token` prints the server's token", args[0])
	}
	dir, err := settings.DataDir(nil, os.Getenv)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(layout.Paths{Root: dir}.Token())
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("there is no token yet: start the server first")
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
