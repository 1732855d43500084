// Package control runs a box's link and mirror in the background and lets other
// programs turn their knobs. It promises that only the user who started it can:
// its socket lies in a folder and with a mode of the user's own.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
	"github.com/omkar619-dev/ssg-bootstrap/lab/registry"
)

// Config is what a server serves. Ports that are taken, or 0, give way to free ones.
type Config struct {
	Socket       string
	Target       string // the box's sshd
	Mirror       string // the folder of releases
	Images       string // the folder of images
	Build        string // tells one build of the program from another
	LinkPort     int
	MirrorPort   int
	RegistryPort int
	GitHub       GitHub
	Tailnet      Tailnet
}

// GitHub says where the stand-in for GitHub keeps its state and answers.
type GitHub struct {
	State  string // file
	Token  string // file that the owner's token is written to
	Reader string // file for a token that may only read
	Socket string // where the box's questions arrive
	Port   int    // on loopback
}

// Info is what a running server answers.
type Info struct {
	PID      int         `json:"pid"`
	Build    string      `json:"build"`
	Target   string      `json:"target"`
	LinkPort int         `json:"linkPort"`
	Mirror   string      `json:"mirror"`   // URL
	Registry string      `json:"registry"` // URL
	GitHub   string      `json:"github"`   // URL
	Tailnet  TailnetInfo `json:"tailnet"`
	Link     link.Stats  `json:"link"`
	// Pulled is what left the registry.
	Pulled registry.Stats `json:"pulled"`
}

// Serve serves until the context ends or a client says quit.
func Serve(ctx context.Context, config Config) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	bad, err := onPort(config.LinkPort, func(address string) (*link.Link, error) { return link.Listen(address, config.Target) })
	if err != nil {
		return err
	}
	defer bad.Close()
	releases, err := onPort(config.MirrorPort, func(address string) (*mirror.Server, error) {
		return mirror.Listen(address, mirror.New(config.Mirror))
	})
	if err != nil {
		return err
	}
	defer releases.Close()
	images := registry.New(config.Images)
	shop, err := onPort(config.RegistryPort, func(address string) (*mirror.Server, error) { return mirror.Listen(address, images) })
	if err != nil {
		return err
	}
	defer shop.Close()
	hub, leave, err := serveGitHub(config)
	if err != nil {
		return err
	}
	defer leave()
	leaveTailnet, err := ServeTailnet(ctx, config.Tailnet)
	if err != nil {
		return err
	}
	defer leaveTailnet()
	info := func() Info {
		// One that is not there has nothing to say.
		tailnet, _ := Dial(filepath.Join(config.Tailnet.Dir, TailnetSocket)).TailnetInfo(ctx)
		return Info{
			PID: os.Getpid(), Build: config.Build, Target: config.Target,
			LinkPort: bad.Port(), Mirror: releases.URL(), Registry: shop.URL(), GitHub: hub.url, Tailnet: tailnet, Link: bad.Stats(), Pulled: images.Stats(),
		}
	}
	listener, err := listenUnix(config.Socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(info, bad, hub.server, quit), ReadHeaderTimeout: 10 * time.Second}
	// The last answer gets out before the socket closes.
	defer context.AfterFunc(ctx, func() {
		graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(graceful)
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve control socket: %w", err)
	}
	return nil
}

// onPort opens something on the wished port, or on a free one when that is taken.
func onPort[T any](port int, open func(address string) (T, error)) (T, error) {
	if port != 0 {
		if opened, err := open(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return opened, nil
		}
	}
	return open("127.0.0.1:0")
}

func listenUnix(socket string) (net.Listener, error) {
	// Whoever starts a server holds the box's lock and has asked the old one to
	// quit, so what lies here is a dead one's.
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return listener, nil
}

func handler(info func() Info, bad *link.Link, hub *github.Server, quit func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(info()) // a client that is gone misses nothing
	})
	mux.HandleFunc("POST /link", func(w http.ResponseWriter, r *http.Request) {
		if err := turn(bad, r.FormValue("verb"), r.FormValue("value"), r.FormValue("way")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	mux.HandleFunc("POST /github", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		shown, err := hub.Turn(r.PostForm["word"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(shown) // a client that is gone misses nothing
	})
	mux.HandleFunc("POST /quit", func(http.ResponseWriter, *http.Request) { quit() })
	return mux
}

// turn turns one of the link's knobs.
func turn(l *link.Link, verb, value, way string) error {
	switch verb {
	case "cut":
		l.Cut()
	case "restore":
		l.Restore()
	case "stall":
		l.Stall()
	case "resume":
		l.Resume()
	case "rate":
		rate, err := link.ParseRate(value)
		if err != nil {
			return err
		}
		return alongWay(way, func(d link.Direction) { l.SetRateOf(d, rate) })
	case "latency":
		delay, err := time.ParseDuration(value)
		if err != nil || delay < 0 {
			return fmt.Errorf("latency %q: write 80ms or 0", value)
		}
		l.SetLatency(delay)
	case "cut-after":
		bytes, err := strconv.ParseInt(value, 10, 64)
		if err != nil || bytes < 0 {
			return fmt.Errorf("bytes %q: write a whole number", value)
		}
		if way == "" {
			return errors.New("cut after bytes of which way? up or down")
		}
		return alongWay(way, func(d link.Direction) { l.CutAfter(d, bytes) })
	default:
		return fmt.Errorf("the link cannot %q", verb)
	}
	return nil
}

// alongWay calls for one way or, when none is named, for both.
func alongWay(way string, do func(link.Direction)) error {
	switch way {
	case "up":
		do(link.Up)
	case "down":
		do(link.Down)
	case "":
		do(link.Up)
		do(link.Down)
	default:
		return fmt.Errorf("way %q: up or down", way)
	}
	return nil
}
