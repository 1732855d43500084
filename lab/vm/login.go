package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// User is who owns the box, as on Debian the first user does: in group sudo.
const User = "owner"

// login reaches a box over SSH.
type login struct {
	machine machine
	address string
	config  *ssh.ClientConfig
	sudo    string
}

func newLogin(m machine, keyFile, knownHostsFile, passwordFile string) (*login, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read login key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("read login key: %w", err)
	}
	check, err := knownhosts.New(knownHostsFile)
	if err != nil {
		return nil, fmt.Errorf("read known hosts: %w", err)
	}
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read sudo password: %w", err)
	}
	return &login{
		machine: m,
		address: loopback(m.ports.SSH),
		config: &ssh.ClientConfig{
			User:            User,
			Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer)},
			HostKeyCallback: check,
			// The box's slow CPU takes seconds for a handshake, more when busy.
			Timeout: time.Minute,
		},
		sudo: strings.TrimSpace(string(password)),
	}, nil
}

func (l *login) dial(ctx context.Context) (*ssh.Client, error) {
	conn, err := (&net.Dialer{Timeout: l.config.Timeout}).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(l.config.Timeout)); err != nil {
		conn.Close()
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, l.address, l.config)
	if err != nil {
		conn.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		c.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

// run runs a shell command on the box; in is its standard input.
func (l *login) run(ctx context.Context, in io.Reader, command string) ([]byte, error) {
	client, err := l.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", l.machine.options.Name, err)
	}
	defer client.Close()
	defer context.AfterFunc(ctx, func() { client.Close() })()
	session, err := client.NewSession()
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", l.machine.options.Name, err)
	}
	var out, complaints bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = in, &out, &complaints
	if err := session.Run(command); err != nil {
		return out.Bytes(), fmt.Errorf("on %s: %w: %s", l.machine.options.Name, errors.Join(err, ctx.Err()), strings.TrimSpace(complaints.String()))
	}
	return out.Bytes(), nil
}

// runRoot runs a shell script as root. The password goes ahead of the script on
// standard input.
func (l *login) runRoot(ctx context.Context, script string) ([]byte, error) {
	return l.run(ctx, strings.NewReader(l.sudo+"\n"+script), "sudo -S -p '' sh -s")
}

// banner waits a little for the first words of the box's sshd. The emulator
// takes connections from the start and keeps them dangling until there is
// someone to pass them to, so a first try would wait far into the boot's end.
func (l *login) banner(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, len("SSH-2.0-")))
	return err
}

// errTooNew means that the guest's CPU knows what the 2008 PC does not.
var errTooNew = errors.New("the guest's CPU is newer than a Core 2 Duo")

// await waits until the box lets us in, and says every ten seconds what it
// waits for. It ends when the emulator does, or with the context.
func (l *login) await(ctx context.Context, log *slog.Logger) error {
	start := time.Now()
	said := start
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		var flags []byte
		err := l.banner(ctx)
		if err == nil {
			flags, err = l.run(ctx, nil, "grep -m1 ^flags /proc/cpuinfo")
		}
		if err == nil {
			return checkCPU(string(flags))
		}
		// Another host key will not become the right one by waiting.
		var mismatch *knownhosts.KeyError
		if errors.As(err, &mismatch) {
			return fmt.Errorf("log in: %w", err)
		}
		if l.machine.pid() == 0 {
			return fmt.Errorf("log in: the emulator has ended; the console's last line: %q (all of it: %s)", l.machine.lastWords(), l.machine.serialLog())
		}
		if time.Since(said) >= 10*time.Second {
			said = time.Now()
			log.Info("waiting for SSH", "box", l.machine.options.Name, "seconds", int(time.Since(start).Seconds()), "console", l.machine.lastWords())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("log in: %w; last seen: %v; the console's last line: %q (all of it: %s)", ctx.Err(), err, l.machine.lastWords(), l.machine.serialLog())
		case <-tick.C:
		}
	}
}

// checkCPU refuses a box that would run what the real one cannot.
func checkCPU(flags string) error {
	for flag := range strings.FieldsSeq(flags) {
		switch flag {
		case "sse4_1", "sse4_2", "popcnt", "avx":
			return fmt.Errorf("%w: it has %s", errTooNew, flag)
		}
	}
	return nil
}
