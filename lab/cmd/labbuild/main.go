// Command labbuild builds the lab's release files and nothing else of the lab.
// It promises what the package build does: what is there already is not made again.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build"
)

const usage = `usage: labbuild [all | images | layouts | runner | tailnet | k3s VERSION | verify | status]

  all         everything, and the release of k3s that the mirror calls stable
  images      the archive of k3s's system images
  layouts     the images of the application and its services, as OCI layouts
  runner      the package of the GitHub runner, and Helm
  tailnet     Tailscale's package, and the lab's tailnet
  k3s VERSION one release of k3s, such as ` + build.DefaultK3s + `
  verify      import the archive into a containerd of its own and check it (root)
  status      what is there`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(log)
	if err := run(ctx, os.Args[1:], log); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, log *slog.Logger) error {
	if len(args) == 0 {
		args = []string{"all"}
	}
	switch {
	case args[0] == "all" && len(args) == 1:
		return build.All(ctx, log)
	case args[0] == "images" && len(args) == 1:
		path, err := build.Images(ctx, log)
		return answer(path, err)
	case args[0] == "layouts" && len(args) == 1:
		dir, err := build.Layouts(ctx, log)
		return answer(dir, err)
	case args[0] == "runner" && len(args) == 1:
		dir, err := build.Runner(ctx, log)
		return answer(dir, err)
	case args[0] == "tailnet" && len(args) == 1:
		dir, err := build.Tailnet(ctx, log)
		return answer(dir, err)
	case args[0] == "k3s" && len(args) == 2:
		dir, err := build.K3sRelease(ctx, args[1])
		return answer(dir, err)
	case args[0] == "verify" && len(args) == 1:
		return build.Verify(ctx, log, os.Stdout)
	case args[0] == "status" && len(args) == 1:
		return build.Status(os.Stdout)
	}
	return fmt.Errorf("cannot make sense of %q\n%s", args, usage)
}

// answer prints the path of what was built.
func answer(path string, err error) error {
	if err != nil {
		return err
	}
	_, err = fmt.Println(path)
	return err
}
