package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/control"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/logging"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/node"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/pki"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
	"github.com/sirupsen/logrus"
)

// serve is `k3s server`.
func serve(args []string) int { return untilSignal(args, settings.Parse, runServer) }

// untilSignal runs until a signal, and says why if it ends otherwise.
func untilSignal(args []string, parse parser, run func(*settings.Server, *slog.Logger) error) int {
	log := logging.New(os.Stderr, false)
	s, warnings, err := parse(args, os.Getenv)
	for _, w := range warnings {
		log.Warn(w)
	}
	if err == nil {
		log, err = setUpLogging(s)
	}
	if err == nil {
		err = run(s, log)
	}
	if err != nil {
		log.Log(context.Background(), logging.Fatal, "Error: "+err.Error())
		return 1
	}
	return 0
}

// parser reads what a command was asked to be.
type parser = func(args []string, getenv func(string) string) (*settings.Server, []string, error)

func setUpLogging(s *settings.Server) (*slog.Logger, error) {
	var w io.Writer = os.Stderr
	if s.LogFile != "" {
		terminal := os.Stderr
		if err := logging.Redirect(s.LogFile); err != nil {
			return logging.New(terminal, s.Debug), fmt.Errorf("open log file: %w", err)
		}
		w = os.Stderr
		if s.AlsoLogToStderr {
			w = io.MultiWriter(w, terminal)
		}
	}
	if s.Debug {
		logrus.SetLevel(logrus.DebugLevel) // kine logs through it
	}
	logrus.SetOutput(w)
	return logging.New(w, s.Debug), nil
}

func runServer(s *settings.Server, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if os.Getuid() != 0 {
		return errors.New("must run as root")
	}
	log.Info("Starting k3s "+os.Getenv("SSG_LAB_K3S_RELEASE"), "stand-in", true)
	// The components would each report to systemd; only the whole is to.
	ready := newNotifier(os.Getenv("NOTIFY_SOCKET"))
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return err
	}
	control.ShareLogging()
	b, err := prepare(s)
	if err != nil {
		return err
	}
	return b.run(ctx, log, ready)
}

// box is one server with everything that was settled before it starts.
type box struct {
	*settings.Server
	paths    layout.Paths
	bin      string // the release's programs
	node     string
	ip       string
	password string
	secret   string // what lets agents in
	api      string // where the components find the API server
}

// prepare settles names, addresses, keys and files. Nothing runs yet: what is
// wrong here ends the start before it has changed the cluster.
func prepare(s *settings.Server) (*box, error) {
	b := &box{
		Server: s,
		paths:  layout.Paths{Root: s.DataDir},
		bin:    filepath.Join(os.Getenv("K3S_DATA_DIR"), "bin"),
		api:    fmt.Sprintf("https://127.0.0.1:%d", s.HTTPSPort),
	}
	if s.BindAddress != "" && s.BindAddress != "0.0.0.0" {
		b.api = fmt.Sprintf("https://%s:%d", s.BindAddress, s.HTTPSPort)
	}
	var err error
	if b.password, err = node.Password(layout.NodePassword); err != nil {
		return nil, err
	}
	if b.node, err = node.Name(s.NodeName); err != nil {
		return nil, err
	}
	if s.WithNodeID {
		b.node += "-" + b.password[:8]
	}
	if b.ip, err = node.Address(s.NodeIP, s.FlannelIface); err != nil {
		return nil, err
	}
	return b, b.writeFiles()
}

func (b *box) writeFiles() error {
	if err := os.MkdirAll(b.paths.Server(), 0o700); err != nil {
		return err
	}
	if err := pki.Ensure(b.paths, b.names(), time.Now()); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	var err error
	if b.secret, err = pki.EnsureToken(b.paths, b.Token); err != nil {
		return err
	}
	if err := pki.Kubeconfigs(b.paths, b.api); err != nil {
		return fmt.Errorf("write kubeconfigs: %w", err)
	}
	admin := b.KubeconfigFile
	if admin == "" {
		admin = layout.AdminKubeconfig
	}
	if err := pki.AdminKubeconfig(b.paths, b.api, pki.Access{Path: admin, Mode: b.KubeconfigMode, Group: b.KubeconfigGroup}); err != nil {
		return fmt.Errorf("write %s: %w", admin, err)
	}
	if err := node.KubeletConfig(b.Server, b.paths); err != nil {
		return err
	}
	return node.LinkPlugins(b.paths, b.bin)
}

func (b *box) names() pki.Names {
	serving := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + b.ClusterDomain,
		"localhost", "127.0.0.1", "::1", b.node, b.ip, b.ServiceIP().String(),
	}
	for _, more := range []string{b.NodeExternalIP, b.AdvertiseAddress, b.BindAddress} {
		if more != "" && more != "0.0.0.0" {
			serving = append(serving, more)
		}
	}
	return pki.Names{Node: b.node, NodeIPs: []string{b.ip}, Serving: append(serving, b.TLSSANs...)}
}

func (b *box) advertise() string {
	switch {
	case b.AdvertiseAddress != "":
		return b.AdvertiseAddress
	case b.NodeExternalIP != "":
		return b.NodeExternalIP
	}
	return b.ip
}
