package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
)

func (b *Box) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		if lc := b.Link.admit(c); lc != nil {
			b.serving.Go(func() { b.serve(lc) })
		}
	}
}

func (b *Box) serverConfig() *ssh.ServerConfig {
	cfg := &ssh.ServerConfig{}
	// The client would rather have ChaCha20, of which Go has no assembly for
	// amd64: under the race detector that is half of what a test takes. OpenSSH
	// speaks it in the test of conformance.
	cfg.Ciphers = []string{ssh.CipherAES128GCM}
	if !b.cfg.NoKey {
		cfg.PublicKeyCallback = b.checkKey
	}
	check := func(user, password string) error {
		if b.cfg.Password == "" || user != b.cfg.User || password != b.cfg.Password {
			return errors.New("wrong user or password")
		}
		return nil
	}
	switch {
	case b.cfg.Password == "":
	case b.cfg.Interactive:
		cfg.KeyboardInteractiveCallback = func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errors.New("no answer")
			}
			return nil, check(c.User(), answers[0])
		}
	default:
		cfg.PasswordCallback = func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return nil, check(c.User(), string(password))
		}
	}
	if cfg.PublicKeyCallback == nil && b.cfg.Password == "" {
		// Without any method the server would not even refuse properly.
		cfg.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, errors.New("no keys here")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	cfg.AddHostKey(b.hostKey)
	for _, k := range b.moreKeys {
		cfg.AddHostKey(k)
	}
	return cfg
}

func (b *Box) checkKey(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	own, err := ssh.NewPublicKey(b.userKey.Public())
	if err != nil {
		return nil, err
	}
	authorized := b.ReadFile("/home/" + b.cfg.User + "/.ssh/authorized_keys")
	if c.User() == b.cfg.User && (bytes.Equal(own.Marshal(), key.Marshal()) ||
		bytes.Contains([]byte(authorized), bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))) {
		return nil, nil
	}
	return nil, fmt.Errorf("unknown key or user %s", c.User())
}

func (b *Box) serve(raw net.Conn) {
	defer raw.Close()
	// A connection ends with the power that it began under, however late its
	// last command comes.
	power := b.powered()
	c, chans, reqs, err := ssh.NewServerConn(raw, b.serverConfig())
	if err != nil {
		return
	}
	defer c.Close()
	b.serving.Go(func() {
		for r := range reqs {
			if r.WantReply {
				_ = r.Reply(true, nil)
			}
		}
	})
	for nc := range chans {
		switch nc.ChannelType() {
		case "session":
			ch, reqs, err := nc.Accept()
			if err != nil {
				return
			}
			b.serving.Go(func() { b.session(power, ch, reqs) })
		case "direct-tcpip":
			b.serving.Go(func() { b.forward(nc) })
		default:
			_ = nc.Reject(ssh.UnknownChannelType, "not here")
		}
	}
}

// session serves one exec request. As with sshd, a lost connection ends a
// command's input, not the command.
func (b *Box) session(power context.Context, ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	for r := range reqs {
		if r.Type != "exec" {
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		var p struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &p); err != nil || !b.Link.exec() {
			_ = r.Reply(false, nil)
			return
		}
		_ = r.Reply(true, nil)
		b.mu.Lock()
		b.wire = append(b.wire, p.Command)
		b.mu.Unlock()
		b.serving.Go(func() {
			for r := range reqs {
				_ = r.Reply(false, nil)
			}
		})
		status := b.runSession(power, ch, p.Command)
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
		return
	}
}

func (b *Box) runSession(power context.Context, ch ssh.Channel, line string) int {
	pr, pw, err := os.Pipe()
	if err != nil {
		b.fail("make a pipe: %v", err)
		return 255
	}
	defer pr.Close()
	b.serving.Go(func() {
		drain(pw, ch)
		_ = pw.Close()
	})
	ctx, cancel := context.WithCancel(power)
	defer cancel()
	b.busy(1)
	defer b.busy(-1)
	if ctx.Err() != nil {
		return 137
	}
	if b.cfg.Greeting != "" {
		_, _ = io.WriteString(ch, b.cfg.Greeting)
		_, _ = io.WriteString(ch.Stderr(), b.cfg.Greeting)
	}
	// One writer each, as a pipe has: what is written to a connection that is
	// gone is lost and nobody's error.
	return b.shell(b.cfg.User == "root").run(ctx, line, nil, pr, &sink{w: ch}, &sink{w: ch.Stderr()})
}

// drain copies everything that has arrived. After a cut the library returns
// what it holds together with an error, which says nothing of what follows.
func drain(to io.Writer, from io.Reader) {
	block := make([]byte, 32<<10)
	for {
		n, _ := from.Read(block)
		if n == 0 {
			return
		}
		if _, err := to.Write(block[:n]); err != nil {
			return
		}
	}
}

// sink serializes writers and swallows errors.
type sink struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.w.Write(p)
	return len(p), nil
}

// forward connects a direct-tcpip channel to an address on this computer.
func (b *Box) forward(nc ssh.NewChannel) {
	var p struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(nc.ExtraData(), &p); err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	c, err := (&net.Dialer{}).DialContext(b.ctx, "tcp", net.JoinHostPort(p.Host, strconv.Itoa(int(p.Port))))
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer c.Close()
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(ch, c); _ = ch.CloseWrite() })
	wg.Go(func() {
		_, _ = io.Copy(c, ch)
		_ = c.(*net.TCPConn).CloseWrite()
	})
	wg.Wait()
}
