package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// world is an Env without a terminal, whose home is an empty folder.
type world struct {
	env      Env
	out, err bytes.Buffer
	vars     map[string]string
}

func newWorld(t *testing.T, args ...string) (*world, *app) {
	t.Helper()
	w := &world{vars: map[string]string{}}
	w.env = Env{
		Stdin: strings.NewReader(""), Stdout: &w.out, Stderr: &w.err, Home: t.TempDir(), Now: time.Now,
		Getenv: func(name string) string { return w.vars[name] },
		TTY:    func() (io.WriteCloser, error) { return nil, errors.New("no terminal") },
		Exit:   func(code int) { t.Errorf("exit %d", code) },
	}
	return w, newApp(args, w.env)
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	_, a := newWorld(t)
	verbs := strings.Fields("Make Write List Show Examine Bring Say Add Open Measure Remove Print Generate")
	n := 0
	walk(newRoot(a), func(cmd *cobra.Command) {
		n++
		first, _, _ := strings.Cut(cmd.Short, " ")
		known := false
		for _, v := range verbs {
			known = known || v == first
		}
		if !known {
			t.Errorf("%s: %q does not start with one of the verbs %v", cmd.CommandPath(), cmd.Short, verbs)
		}
		if strings.HasSuffix(cmd.Short, ".") || cmd.Short == "" || len(cmd.Short) > 80 {
			t.Errorf("%s: Short is %q", cmd.CommandPath(), cmd.Short)
		}
		if !strings.Contains(cmd.Example, program) {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Long) {
			if w := runewidth.StringWidth(strings.TrimRight(line, "\n")); w > 80 && cmd.Parent().Name() != "completion" {
				t.Errorf("%s: a line of Long has %d columns", cmd.CommandPath(), w)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || unicode.IsUpper([]rune(f.Usage)[0]) && !strings.HasPrefix(f.Usage, "IP") || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: usage is %q", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
	})
	if n < 15 {
		t.Errorf("only %d commands were looked at", n)
	}
}

func TestExamplesAreValidCommandLines(t *testing.T) {
	_, a := newWorld(t)
	root := newRoot(a)
	walk(root, func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, program+" ") {
				continue
			}
			line, _, _ = strings.Cut(line, " > ")
			found, rest, err := root.Find(strings.Fields(line)[1:])
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			for _, word := range rest {
				if word == "--" {
					break
				}
				name, isFlag := strings.CutPrefix(word, "--")
				if isFlag && found.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil {
					t.Errorf("%s: there is no flag %s", line, word)
				}
			}
		}
	})
}

// TestHelpFitsATerminalOfEightyColumns also holds that it is plain text, for
// logs, screen readers and the reference.
func TestHelpFitsATerminalOfEightyColumns(t *testing.T) {
	walk(Commands(), func(cmd *cobra.Command) {
		var b bytes.Buffer
		cmd.Root().SetOut(&b)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if w := runewidth.StringWidth(strings.TrimRight(line, "\n")); w > helpWidth && !generated(cmd) {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), w, line)
			}
		}
		if strings.ContainsAny(b.String(), "\x1b\r\t") && !generated(cmd) {
			t.Errorf("the help of %s has control characters", cmd.CommandPath())
		}
	})
}

// generated reports whether cobra wrote a command's texts.
func generated(cmd *cobra.Command) bool {
	return cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion"
}

func TestNoFlagTakesASecret(t *testing.T) {
	_, a := newWorld(t)
	walk(newRoot(a), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			for _, word := range []string{"password", "token", "secret", "passphrase"} {
				if strings.Contains(f.Name, word) {
					t.Errorf("%s --%s: argv is visible to everybody", cmd.CommandPath(), f.Name)
				}
			}
		})
	})
}

func TestEveryCodeHasItsExitStatusAndNextCommandAtTheEdge(t *testing.T) {
	for _, e := range fault.Catalogue() {
		w, a := newWorld(t, "install", "--host", "oldpc")
		a.started, a.host = true, "oldpc"
		exit := a.finish(newRoot(a), &fault.Error{Code: e.Code, Op: "do it", Err: errors.New("no")})
		if exit != e.Exit {
			t.Errorf("%s: exit %d, want %d", e.Code, exit, e.Exit)
		}
		text := w.err.String()
		if e.Code == fault.ChangesFound {
			if text != "" {
				t.Errorf("plan --exit-code is no error, but says %q", text)
			}
			continue
		}
		if !strings.HasPrefix(text, "error: do it: no\n") || !strings.Contains(text, "\ntry: ") || strings.Contains(text, "HOST") {
			t.Errorf("%s: got %q", e.Code, text)
		}
	}
}

func TestAnInterruptedRunSaysHowToContinue(t *testing.T) {
	w, a := newWorld(t, "install", "--host", "my pc")
	a.started = true
	exit := a.finish(newRoot(a), fmt.Errorf("k3s: %w", interruption{}))
	want := "try: continue with the same command, finished work is not repeated:\n     ssg-bootstrap install --host 'my pc'\n"
	if exit != fault.ExitInterrupted || !strings.HasSuffix(w.err.String(), want) {
		t.Errorf("exit %d, %q", exit, w.err.String())
	}
}

func TestJSONIsOneObjectAlsoForAnError(t *testing.T) {
	w, _ := newWorld(t)
	code := Main(context.Background(), []string{"plan", "-o", "json", "--config", "/nonexistent/x.yaml"}, w.env)
	if code != 2 || strings.Count(w.out.String(), "\n") != 1 || !strings.HasPrefix(w.out.String(), `{"kind":"result","command":"plan","exit":2,"error":{"code":"config-invalid"`) {
		t.Errorf("exit %d, stdout %q", code, w.out.String())
	}
	if w.err.Len() != 0 {
		t.Errorf("stderr %q", w.err.String())
	}
}

func TestQuestionsWithoutATerminalNameTheAnswer(t *testing.T) {
	_, a := newWorld(t)
	p := newPrompter(a)
	_, err1 := p.Confirm(t.Context(), "go on?")
	_, err2 := p.Secret(t.Context(), "Password of me for sudo")
	_, err3 := p.Secret(t.Context(), "Passphrase for ~/.ssh/id")
	_, err4 := p.Secret(t.Context(), "me@oldpc's password")
	for i, err := range []error{err1, err2, err3, err4} {
		if fault.CodeOf(err) != fault.NeedsAnswer {
			t.Errorf("%d: %v", i, err)
		}
	}
	for err, want := range map[error]string{err2: "SSG_SUDO_PASSWORD", err3: "ssh-add", err4: "SSG_SSH_PASSWORD"} {
		if !strings.Contains(fault.NextOf(err), want) {
			t.Errorf("%q does not name %s", fault.NextOf(err), want)
		}
	}
}

func TestAReadThatCannotBeCalledOffIsLeftBehind(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interruption{})
	tidied := false
	got := interruptibly(ctx, func() error { _, err := in.Read(make([]byte, 1)); return err }, func() { tidied = true })
	if !errors.Is(got, interruption{}) || !tidied {
		t.Errorf("got %v, tidied %v", got, tidied)
	}
}

func TestTheSecondCtrlCExitsAtOnce(t *testing.T) {
	w, a := newWorld(t, "install")
	exit := make(chan int, 1)
	a.env.Exit = func(code int) { exit <- code }
	ctx, stop := a.interruptible(t.Context())
	interrupt := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
	interrupt()
	if code := <-exit; code != 130 {
		t.Errorf("exit %d", code)
	}
	stop()
	if !strings.HasPrefix(w.err.String(), "stopping; press Ctrl-C again to exit at once\n") {
		t.Errorf("said %q", w.err.String())
	}
}
