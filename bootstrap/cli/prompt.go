package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// prompter asks on the terminal. Without one it says which flag or variable
// answers the question instead.
type prompter struct {
	a  *app
	in *bufio.Reader
	// asked are the secrets that were given before: to be asked again means
	// that the answer was wrong.
	mu    sync.Mutex
	asked map[string]bool
}

func newPrompter(a *app) *prompter {
	return &prompter{a: a, in: bufio.NewReader(a.env.Stdin), asked: map[string]bool{}}
}

// possible reports whether there is somebody to ask: answers come from standard
// input, so that a script which feeds it is not left hanging on a question.
func (p *prompter) possible() bool {
	return isTerminal(p.a.env.Stdin) && p.a.mode() != report.JSON
}

// show writes to the terminal, also when standard error goes to a file.
func (p *prompter) show(text string) {
	if !isTerminal(p.a.env.Stderr) {
		if tty, err := p.a.env.TTY(); err == nil {
			defer tty.Close()
			_, _ = io.WriteString(tty, text)
			return
		}
	}
	_, _ = io.WriteString(p.a.env.Stderr, text)
}

func nobody(what, instead string) error {
	return &fault.Error{Code: fault.NeedsAnswer, Err: fmt.Errorf("%s, and there is no terminal to ask on", what), Next: instead}
}

// Ask asks for a line of text; empty means the fallback.
func (p *prompter) Ask(ctx context.Context, question, fallback, instead string) (string, error) {
	if !p.possible() {
		return "", nobody(question, instead)
	}
	if fallback != "" {
		question += " [" + fallback + "]"
	}
	line, err := p.line(ctx, question+": ")
	if line == "" {
		line = fallback
	}
	return line, err
}

// Confirm asks a question that is answered by yes or no.
func (p *prompter) Confirm(ctx context.Context, question string) (bool, error) {
	if !p.possible() {
		return false, nobody(question, "run it in a terminal and answer, or see the flags in --help")
	}
	for {
		line, err := p.line(ctx, question+" (yes/no): ")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(line) {
		case "yes", "y":
			return true, nil
		case "no", "n":
			return false, nil
		}
	}
}

// Secret asks for a secret without showing it.
func (p *prompter) Secret(ctx context.Context, what string) (secrets.Value, error) {
	in, ok := p.a.env.Stdin.(*os.File)
	if !ok || !p.possible() {
		return secrets.Value{}, nobody(what+" is needed", secretVariable(what))
	}
	var text []byte
	err := p.a.report().Hold(func() error {
		p.show(p.again(what) + what + ": ")
		defer p.show("\n")
		before, err := term.GetState(int(in.Fd()))
		if err != nil {
			return fmt.Errorf("read the terminal's state: %w", err)
		}
		return interruptibly(ctx, func() (err error) {
			text, err = term.ReadPassword(int(in.Fd()))
			return err
		}, func() { _ = term.Restore(int(in.Fd()), before) })
	})
	if err != nil {
		return secrets.Value{}, fmt.Errorf("read %s: %w", what, err)
	}
	return secrets.NewValue(string(text)), nil
}

func (p *prompter) again(what string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked[what] {
		return "That was not it. "
	}
	p.asked[what] = true
	return ""
}

// secretVariable names what answers the question where nobody can be asked.
func secretVariable(what string) string {
	switch {
	case strings.Contains(strings.ToLower(what), "sudo"):
		return "set SSG_SUDO_PASSWORD, or run it in a terminal"
	case strings.Contains(strings.ToLower(what), "passphrase"):
		return "load the key into an SSH agent (`ssh-add`), or run it in a terminal"
	case strings.Contains(what, "tailnet"):
		return tailnetRemedy
	}
	if strings.Contains(what, "GitHub") {
		return "set GITHUB_TOKEN, or run it in a terminal"
	}
	return "set SSG_SSH_PASSWORD, use a key, or run it in a terminal"
}

func (p *prompter) line(ctx context.Context, prompt string) (string, error) {
	var line string
	err := p.a.report().Hold(func() error {
		p.show(strings.TrimSuffix(report.Wrap(prompt, p.a.width()-8), " ") + " ")
		return interruptibly(ctx, func() (err error) {
			line, err = p.in.ReadString('\n')
			if err == io.EOF && line != "" {
				return nil
			}
			return err
		}, func() { p.show("\n") })
	})
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// interruptibly runs read until it ends or ctx does. A read from a terminal
// cannot be called off: it is left behind, and tidy puts the terminal right.
func interruptibly(ctx context.Context, read func() error, tidy func()) error {
	done := make(chan error, 1)
	go func() { done <- read() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		tidy()
		return context.Cause(ctx)
	}
}
