package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// markPath says on the box how far a restore is. It lies with the state that
// it speaks of, so that whoever removes the one removes the other.
const markPath = "/var/lib/rancher/k3s/ssg-bootstrap-restore.json"

// Mark is how far the restore of a lost box is.
type Mark struct {
	// ID is the backup; empty when none was ever restored here.
	ID string `json:"id,omitempty"`
	// State says that the cluster's state and the identities are back, Data
	// that the services' data are as well and must not be replaced again, Shut
	// that nobody may come in yet all the same.
	State bool `json:"state,omitempty"`
	Data  bool `json:"data,omitempty"`
	Shut  bool `json:"shut,omitempty"`
}

// Unfinished reports whether a restore was begun that is to be gone on with.
func (m Mark) Unfinished() bool { return m.ID != "" && (!m.Data || m.Shut) }

// ReadMark asks the box.
func (b Box) ReadMark(ctx context.Context, r host.Reader) (Mark, error) {
	var m Mark
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", b.Root + markPath}, Root: true})
	if err != nil || len(out) == 0 {
		return m, err
	}
	if err := json.Unmarshal(out, &m); err != nil {
		return m, fmt.Errorf("read %s on the box: %w", markPath, err)
	}
	return m, nil
}

func (b Box) writeMark(ctx context.Context, m Mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write %s: %w", markPath, err)
	}
	return b.Host.Put(ctx, host.File{Path: b.Root + markPath, Mode: 0o600, Content: append(text, '\n')})
}

// Fits refuses a backup of a newer k3s than the one that is to run: its state
// may hold what an older one cannot read, and there is no way back from a start
// that half-migrated it.
func Fits(a About, id, version string) error {
	if a.K3s == "" || version == "" || slices.Compare(numbers(a.K3s), numbers(version)) <= 0 {
		return nil
	}
	return fault.New(fault.RestoreRefused, "set k3s.version in the profile to "+a.K3s+" or a newer one, or take an older backup (`ssg-bootstrap backup list --host HOST`)",
		"backup %s is of k3s %s, and %s is to be installed: an older k3s cannot be trusted with a newer one's state", id, a.K3s, version)
}

// numbers makes v1.36.4+k3s1 comparable: 1, 36, 4, 3, 1.
func numbers(version string) []int {
	var out []int
	for _, digits := range regexp.MustCompile(`[0-9]+`).FindAllString(version, -1) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			continue
		}
		out = append(out, n)
	}
	return out
}

// restoringPath is where a restore into a running box says what it restores; it
// goes when that is done.
func (b Box) restoringPath() string { return b.at(in, "restoring") }

// Restoring is the backup of which parts are half restored; empty for none.
// What the services hold is then neither the one nor the other.
func (b Box) Restoring(ctx context.Context, r host.Reader) (string, error) {
	m, err := b.ReadMark(ctx, r)
	if err != nil {
		return "", err
	}
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", `[ ! -e "$1" ] || cat "$1"`, "sh", b.restoringPath()}, Root: true})
	if id := strings.TrimSpace(string(out)); err != nil || id != "" {
		return id, err
	}
	if m.ID != "" && !m.Data {
		return m.ID, nil
	}
	return "", nil
}
