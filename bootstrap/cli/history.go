package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// history is what this computer remembers of a host: how long each step took
// when it last changed something. It makes the times left honest; losing it
// costs nothing.
type history struct {
	path  string
	Steps map[step.ID]lastRun `json:"steps"`
}

type lastRun struct {
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"`
}

func loadHistory(stateDir, host string) *history {
	h := &history{path: filepath.Join(stateDir, fileName(host), "history.json"), Steps: map[step.ID]lastRun{}}
	data, err := os.ReadFile(h.path)
	if err != nil || json.Unmarshal(data, h) != nil || h.Steps == nil {
		h.Steps = map[step.ID]lastRun{}
	}
	return h
}

// last returns how long a step took, 0 if unknown.
func (h *history) last(id step.ID) time.Duration {
	return time.Duration(h.Steps[id].Seconds * float64(time.Second))
}

// see is a step.Observer that remembers finished steps.
func (h *history) see(e step.Event) {
	if e.Kind == step.StepDone {
		h.Steps[e.Step] = lastRun{At: e.Time.UTC(), Seconds: e.Took.Seconds()}
	}
}

func (h *history) save() error {
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
