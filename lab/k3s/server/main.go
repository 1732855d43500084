// Command server is what the file named k3s becomes for `k3s server`,
// `k3s agent`, `k3s kubectl` and `k3s token`: one program, as in k3s, so that a box keeps one
// copy of Kubernetes on its disk and in its memory.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(run(os.Args)) }

func run(argv []string) int {
	if filepath.Base(argv[0]) == "kubectl" {
		return kubectl()
	}
	command := ""
	if len(argv) > 1 {
		command = argv[1]
	}
	switch command {
	case "server":
		return serve(argv[2:])
	case "agent":
		return untilSignal(argv[2:], settings.ParseAgent, runAgent)
	case "token":
		return report(token(os.Stdout, argv[2:]))
	}
	return report(fmt.Errorf("k3s-server is started by the file named k3s, not by hand: %q", argv))
}

// kubectl finds the administrator's kubeconfig by itself, as k3s's does.
func kubectl() int {
	const admin = "/etc/rancher/k3s/k3s.yaml"
	if os.Getenv("KUBECONFIG") == "" {
		if _, err := os.Stat(admin); err == nil || !errors.Is(err, os.ErrNotExist) {
			if err := os.Setenv("KUBECONFIG", admin); err != nil {
				return report(err)
			}
		}
	}
	return cli.Run(cmd.NewDefaultKubectlCommand())
}

func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	return 1
}
