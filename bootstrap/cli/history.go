package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

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
	return writeFile(h.path, append(data, '\n'), 0o600)
}

// fileName makes a host's name, which may be user@address:port, usable as the
// name of a folder.
func fileName(host string) string {
	out := []rune(host)
	for i, r := range out {
		if r == '/' || r == os.PathSeparator || r == 0 {
			out[i] = '_'
		}
	}
	if s := string(out); s != "." && s != ".." {
		return s
	}
	return "_"
}

// writeFile replaces a file in one step, so that a crash leaves the old one or
// the new one. Missing folders are made for the user alone.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// syncDir makes a rename survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
