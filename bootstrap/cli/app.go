package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/term"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

const program = "ssg-bootstrap"

// app is what the commands of one invocation share.
type app struct {
	env  Env
	args []string

	// The flags that every command has.
	config  string
	output  string
	verbose int

	// started is set once a command's own code runs: an error before that is
	// one of usage.
	started bool
	// host is the chosen host's name, for the texts.
	host string
	// data is the answer for -o json.
	data     any
	answered bool

	mu       sync.Mutex
	reporter report.Reporter
	// past is what is remembered of what this run is about; nil before that is
	// known.
	past *history
	// forever is set for work that only Ctrl-C ends.
	forever bool
}

func newApp(args []string, env Env) *app {
	return &app{env: env, args: args, output: string(report.Auto)}
}

func (a *app) mode() report.Mode {
	m, err := report.ParseMode(a.output)
	if err != nil {
		return report.Auto
	}
	return m
}

// start is the first thing that a command does.
func (a *app) start() error {
	if _, err := report.ParseMode(a.output); err != nil {
		return &fault.Error{Code: fault.Usage, Err: err, Next: "use -o auto, -o plain or -o json"}
	}
	a.started = true
	return nil
}

// report returns the one reporter of this invocation.
func (a *app) report() report.Reporter {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reporter == nil {
		a.reporter = report.New(a.mode(), report.Options{
			Err: a.env.Stderr,
			// A log between the frames would tear them apart.
			Live:  isTerminal(a.env.Stderr) && a.env.Getenv("TERM") != "dumb" && a.verbose == 0,
			Width: a.width,
			Color: a.env.Getenv("NO_COLOR") == "",
			Now:   a.env.Now,
		})
	}
	return a.reporter
}

func (a *app) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reporter != nil {
		a.reporter.Close()
	}
	if a.past != nil {
		if err := a.past.save(); err != nil {
			a.logger().Warn("history not saved", "error", err)
		}
	}
}

// about says what this run is about, a host or a cluster, whose history it
// continues. Of two hosts it is the first.
func (a *app) about(name string) *history {
	h := loadHistory(a.stateDir(), name)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.past == nil {
		a.past = h
	}
	return h
}

// task reports work that is no step of the plan.
func (a *app) task(id step.ID, title string) (note func(string), end func(error)) {
	see := a.report().Event
	a.mu.Lock()
	if a.past != nil {
		see = a.past.task(see)
	}
	a.mu.Unlock()
	return report.Task(see, a.env.Now, id, title)
}

// tell says something on standard error that is no event.
func (a *app) tell(text string) {
	if a.mode() == report.JSON {
		return
	}
	_ = a.report().Hold(func() error {
		_, err := fmt.Fprintln(a.env.Stderr, report.Wrap(text, a.width()))
		return err
	})
}

// untilStopped says that Ctrl-C is the ordinary end of this command.
func (a *app) untilStopped() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forever = true
}

func (a *app) announceStop() {
	a.mu.Lock()
	forever := a.forever
	a.mu.Unlock()
	if !forever {
		a.tell("stopping; press Ctrl-C again to exit at once")
	}
}

// answer gives the command's answer: as an object to programs, as text to
// people.
func (a *app) answer(data any, text func(w io.Writer)) {
	a.data, a.answered = data, true
	if a.mode() == report.JSON {
		return
	}
	a.close()
	text(a.env.Stdout)
}

// logger is silent unless -v was given.
func (a *app) logger() *slog.Logger {
	if a.verbose == 0 {
		return slog.New(slog.DiscardHandler)
	}
	level := slog.LevelInfo
	if a.verbose > 1 {
		level = slog.LevelDebug
	}
	o := &slog.HandlerOptions{Level: level}
	if a.mode() == report.JSON {
		return slog.New(slog.NewJSONHandler(a.env.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(a.env.Stderr, o))
}

// width is the terminal's, or 80 where there is none.
func (a *app) width() int {
	for _, w := range []io.Writer{a.env.Stdout, a.env.Stderr} {
		if f, ok := w.(*os.File); ok {
			if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
				return n
			}
		}
	}
	return 80
}

func isTerminal(s any) bool {
	f, ok := s.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// dir returns our folder below an XDG base directory.
func (a *app) dir(variable, fallback string) string {
	base := a.env.Getenv(variable)
	if !filepath.IsAbs(base) {
		base = filepath.Join(a.env.Home, fallback)
	}
	return filepath.Join(base, program)
}

func (a *app) configDir() string { return a.dir("XDG_CONFIG_HOME", ".config") }
func (a *app) cacheDir() string  { return a.dir("XDG_CACHE_HOME", ".cache") }
func (a *app) stateDir() string  { return a.dir("XDG_STATE_HOME", filepath.Join(".local", "state")) }
