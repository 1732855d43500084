package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// history is what this computer remembers of a host: how long each step took
// when it last changed something, and each other work that took long, by its
// title. It makes the times left honest; losing it costs nothing.
type history struct {
	path  string
	mu    sync.Mutex
	stale bool
	Steps map[step.ID]lastRun `json:"steps"`
	Tasks map[string]lastRun  `json:"tasks,omitempty"`
}

// worthRemembering is how long a work takes at least that people wait for.
const worthRemembering = 5 * time.Second

type lastRun struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
}

func loadHistory(stateDir, host string) *history {
	h := &history{path: filepath.Join(stateDir, fileName(host), "history.json")}
	if data, err := os.ReadFile(h.path); err != nil || json.Unmarshal(data, h) != nil {
		h.Steps, h.Tasks = nil, nil
	}
	if h.Steps == nil {
		h.Steps = map[step.ID]lastRun{}
	}
	if h.Tasks == nil {
		h.Tasks = map[string]lastRun{}
	}
	return h
}

// last returns how long a step took, 0 if unknown.
func (h *history) last(id step.ID) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Duration(h.Steps[id].Seconds * float64(time.Second))
}

// see is a step.Observer that remembers finished steps.
func (h *history) see(e step.Event) {
	if e.Kind == step.StepDone {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.Steps[e.Step] = lastRun{At: e.Time.UTC(), Seconds: e.Took.Seconds()}
		h.stale = true
	}
}

// task passes on what is told of a work that is no step, with how long it took
// last time, and remembers how long it takes now.
func (h *history) task(see step.Observer) step.Observer {
	return func(e step.Event) {
		h.mu.Lock()
		switch {
		case e.Kind == step.StepStarted:
			e.Last = time.Duration(h.Tasks[e.Title].Seconds * float64(time.Second))
		case e.Kind == step.StepDone && e.Took >= worthRemembering:
			h.Tasks[e.Title] = lastRun{At: e.Time.UTC(), Seconds: e.Took.Seconds()}
			h.stale = true
		}
		h.mu.Unlock()
		see(e)
	}
}

// save writes what is new, if anything is.
func (h *history) save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stale {
		return nil
	}
	h.stale = false
	data, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return atomicfile.Write(h.path, append(data, '\n'), 0o600)
}

// fileName makes a host's name, which may be user@address:port, usable as the
// name of a folder.
func fileName(host string) string {
	separators := "/" + string(os.PathSeparator)
	if runtime.GOOS == "windows" {
		separators += `<>:"|?*`
	}
	out := []rune(host)
	for i, r := range out {
		if r == 0 || strings.ContainsRune(separators, r) {
			out[i] = '_'
		}
	}
	if s := string(out); s != "." && s != ".." {
		return s
	}
	return "_"
}
