package node

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
	"gopkg.in/natefinch/lumberjack.v2"
)

//go:embed containerd.toml.tmpl
var containerdTemplate string

// ContainerdConfig writes agent/etc/containerd/config.toml and crictl's file.
func ContainerdConfig(s *settings.Server, p layout.Paths) (string, error) {
	tmpl, err := template.New("containerd").Parse(containerdTemplate)
	if err != nil {
		return "", fmt.Errorf("parse containerd template: %w", err)
	}
	file := p.Agent("etc", "containerd", "config.toml")
	var out bytes.Buffer
	err = tmpl.Execute(&out, map[string]any{
		"DropIns":     p.Agent("etc", "containerd", "config-v3.toml.d", "*.toml"),
		"Root":        p.Agent("containerd"),
		"State":       layout.ContainerdRuntime,
		"Socket":      layout.ContainerdSocket,
		"Snapshotter": s.Snapshotter,
		"Pause":       s.PauseImage,
		"SELinux":     s.SELinux,
		"CNIBin":      p.CNIBin(),
		"CNIConf":     p.CNIConf(),
		"Registries":  p.Agent("etc", "containerd", "certs.d"),
		"Systemd":     UnderSystemd(),
	})
	if err != nil {
		return "", fmt.Errorf("fill containerd template: %w", err)
	}
	crictl := "runtime-endpoint: unix://" + layout.ContainerdSocket + "\n"
	return file, errors.Join(
		writeFile(file, out.Bytes(), 0o600),
		writeFile(p.Agent("etc", "crictl.yaml"), []byte(crictl), 0o600),
	)
}

// RunContainerd runs containerd as a child until the context ends or it dies.
// It goes down with this process even when that is killed; the pods' shims are
// not its children and stay.
func RunContainerd(ctx context.Context, p layout.Paths, config string) error {
	// The kernel ties a child's death signal to the thread that made it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	log := &lumberjack.Logger{Filename: p.Agent("containerd", "containerd.log"), MaxSize: 50, MaxBackups: 3, Compress: true}
	defer log.Close()
	cmd := exec.CommandContext(ctx, "containerd", "-c", config)
	cmd.Env = ContainerdEnv(os.Environ())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("containerd: %w (its log is %s)", err, log.Filename)
	}
	return ctx.Err()
}

// ContainerdEnv gives containerd our environment, in which CONTAINERD_X=y means
// X=y: that is how its memory limit can differ from ours.
func ContainerdEnv(env []string) []string {
	const prefix = "CONTAINERD_"
	values := map[string]string{}
	var order []string
	set := func(k, v string) {
		if _, ok := values[k]; !ok {
			order = append(order, k)
		}
		values[k] = v
	}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		if k != "NOTIFY_SOCKET" && !strings.HasPrefix(k, prefix) {
			set(k, v)
		}
	}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		if bare, ok := strings.CutPrefix(k, prefix); ok && bare != "" {
			set(bare, v)
		}
	}
	out := make([]string, 0, len(order))
	for _, k := range order {
		out = append(out, k+"="+values[k])
	}
	return out
}

// ConnectContainerd waits until containerd answers.
func ConnectContainerd(ctx context.Context) (*client.Client, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := connectOnce(ctx)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func connectOnce(ctx context.Context) (*client.Client, error) {
	// Looked for first, because the client complains loudly of a missing socket.
	if _, err := os.Stat(layout.ContainerdSocket); err != nil {
		return nil, err
	}
	c, err := client.New(layout.ContainerdSocket, client.WithDefaultNamespace("k8s.io"), client.WithTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	ok, err := c.IsServing(ctx)
	if err == nil && ok {
		return c, nil
	}
	return nil, errors.Join(errors.New("containerd is not serving yet"), err, c.Close())
}

func writeFile(path string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, content, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
