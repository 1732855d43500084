package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Tailnet says which program runs the lab's tailnet, and in which folder. It is
// a program of its own because all of Tailscale is in it.
type Tailnet struct {
	Program string // empty: there is no tailnet
	Dir     string // the box's
}

// TailnetSocket is where the tailnet's switches are, in its folder.
const TailnetSocket = "tailnet.sock"

// TailnetInfo is what the tailnet says of itself; all empty when there is none.
type TailnetInfo struct {
	PID     int    `json:"pid"`
	Control string `json:"control"` // URL of the control server, on the workstation
	API     string `json:"api"`     // base URL of Tailscale's API, on the workstation
	Proxy   string `json:"proxy"`   // into the tailnet; empty until the workstation has joined
	// Files with the lab's credentials, 0600.
	AuthKey      string `json:"authKey"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
}

const (
	tailnetStart = 30 * time.Second // far more than it takes to open its ports
	tailnetEnd   = 10 * time.Second // for it to end in order
)

// ServeTailnet starts the tailnet and returns once it answers. One that ends
// before the context does is started again: it has kept what it knew.
func ServeTailnet(ctx context.Context, config Tailnet) (func(), error) {
	if config.Program == "" {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- keepTailnet(ctx, config) }()
	leave := func() {
		cancel()
		<-done
	}
	if err := awaitTailnet(ctx, config, done); err != nil {
		cancel()
		return nil, err
	}
	return leave, nil
}

func awaitTailnet(ctx context.Context, config Tailnet, done chan error) error {
	ctx, cancel := context.WithTimeout(ctx, tailnetStart)
	defer cancel()
	client := Dial(filepath.Join(config.Dir, TailnetSocket))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := client.TailnetInfo(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("start the tailnet: %w: see %s", ctx.Err(), config.log())
		case err := <-done:
			return err
		case <-tick.C:
		}
	}
}

func (t Tailnet) log() string { return filepath.Join(t.Dir, "tailnet.log") }

// keepTailnet runs the program as long as the context lasts.
func keepTailnet(ctx context.Context, config Tailnet) error {
	log, err := os.Create(config.log())
	if err != nil {
		return fmt.Errorf("start the tailnet: %w", err)
	}
	defer log.Close()
	for {
		command := exec.CommandContext(ctx, config.Program, "--dir", config.Dir)
		command.Stdout, command.Stderr = log, log
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
		command.WaitDelay = tailnetEnd
		// It must not outlive this process, whatever ends it.
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		if err := command.Start(); err != nil {
			return fmt.Errorf("start the tailnet: %w", err)
		}
		ended := command.Wait()
		if ctx.Err() != nil {
			return nil
		}
		fmt.Fprintf(log, "it ended (%v) and is started again\n", ended)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// TailnetInfo asks the tailnet at this client's socket what it is.
func (c *Client) TailnetInfo(ctx context.Context) (TailnetInfo, error) {
	return asked[TailnetInfo](c.do(ctx, http.MethodGet, "/info", nil))
}

// TurnTailnet turns a switch of the tailnet at this client's socket and returns
// as JSON what there is to say.
func (c *Client) TurnTailnet(ctx context.Context, verb string, args ...string) ([]byte, error) {
	said, err := c.do(ctx, http.MethodPost, "/turn", url.Values{"verb": {verb}, "arg": args})
	if errors.Is(err, ErrNotServing) {
		return nil, errors.New("the lab's tailnet is not running: `lab up` starts it once `lab build` has built it")
	}
	return said, err
}
