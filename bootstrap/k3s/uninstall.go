package k3s

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Data is one thing that is lost when k3s is removed.
type Data struct {
	// What is a volume claim as namespace/name, or the datastore.
	What  string `json:"what"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// The local-path provisioner names a folder pvc-UID_NAMESPACE_CLAIM, so the
// list needs no API server: what is lost should be known also when k3s is
// down.
const dataScript = `for dir in ` + storageDir + `/* ` + dataDir + `/server/db; do
	[ -d "$dir" ] || continue
	du -s -B1 "$dir" | while read -r size rest; do printf '%s %s\n' "$size" "$dir"; done
done
:
`

// DataAtRisk lists the data that Uninstall removes.
func DataAtRisk(ctx context.Context, r host.Reader) ([]Data, error) {
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", dataScript, "sh"}, Root: true})
	if err != nil {
		return nil, fmt.Errorf("list data: %w", err)
	}
	var data []Data
	for line := range strings.Lines(string(out)) {
		size, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("list data: not a size and a folder: %.80q", line)
		}
		data = append(data, Data{What: claim(path), Path: path, Bytes: n})
	}
	return data, nil
}

// claim reads the volume claim out of a folder's name.
func claim(path string) string {
	name, isVolume := strings.CutPrefix(path, storageDir+"/")
	if !isVolume {
		return "the cluster's state"
	}
	if parts := strings.SplitN(name, "_", 3); len(parts) == 3 {
		return "volume " + parts[1] + "/" + parts[2]
	}
	return "volume " + name
}

// Uninstall removes k3s with all of its data. It runs on the box as a job of
// its own, so that a lost connection does not leave it half done.
func Uninstall(ctx context.Context, h host.Host, seen func(line string)) error {
	return serverKind.uninstall(ctx, h, seen)
}

// UninstallAgent does the same for an agent.
func UninstallAgent(ctx context.Context, h host.Host, seen func(line string)) error {
	return agentKind.uninstall(ctx, h, seen)
}

func (k kind) uninstall(ctx context.Context, h host.Host, seen func(line string)) error {
	_, err := h.Query(ctx, host.Command{Argv: []string{"test", "-x", k.remove()}, Root: true})
	var failed *host.CommandError
	switch {
	case errors.As(err, &failed):
		return fault.New(fault.NotInstalled, "", "there is no %s on the box", k.remove())
	case err != nil:
		return fmt.Errorf("look for %s: %w", k.remove(), err)
	}
	job := host.Job{Name: string(k) + "-uninstall", Argv: []string{k.remove()}, Stall: 10 * time.Minute}
	if err := h.Job(ctx, job, seen); err != nil {
		return fmt.Errorf("uninstall k3s: %w", err)
	}
	return nil
}
