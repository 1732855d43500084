package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// Store keeps the results of one host, a file each, named by their time. They
// hold no secrets and are the user's to copy.
type Store struct{ dir string }

// NewStore keeps results in a folder, which is made when it is needed.
func NewStore(dir string) Store { return Store{dir} }

// name is the file's: sorted by name is sorted by time.
func (r Result) file() string {
	return r.Started.UTC().Format("20060102T150405.000Z") + "-" + string(r.Kind) + ".json"
}

// Save keeps a result and returns where.
func (s Store) Save(r Result) (string, error) {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write the result: %w", err)
	}
	path := filepath.Join(s.dir, r.file())
	if err := atomicfile.Write(path, append(data, '\n'), 0o600); err != nil {
		return "", fmt.Errorf("keep the result: %w", err)
	}
	return path, nil
}

// All returns every result that can be read, the oldest first. A damaged file
// is passed over: it is one measurement among others.
func (s Store) All() ([]Result, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for earlier results: %w", err)
	}
	var out []Result
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if r, err := ReadFile(filepath.Join(s.dir, e.Name())); err == nil {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Result) int { return a.Started.Compare(b.Started) })
	return out, nil
}

// ReadFile reads a result: as it was kept, or as `-o json` printed it.
func ReadFile(path string) (Result, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Result{}, &fault.Error{Code: fault.Usage, Op: "read the result", Err: err, Next: "give a file that `ssg-bootstrap bench -o json` wrote, or a host that was measured"}
	}
	r, err := Parse(data)
	if err != nil {
		return r, &fault.Error{Code: fault.Usage, Op: "read " + filepath.Base(path), Err: err, Next: "give a file that `ssg-bootstrap bench -o json` wrote, or a host that was measured"}
	}
	return r, nil
}

// Parse reads a result and refuses what is none.
func Parse(data []byte) (Result, error) {
	var printed struct {
		Kind string          `json:"kind"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(data, &printed) == nil && printed.Kind == "result" && len(printed.Data) > 0 {
		data = printed.Data
	}
	var r Result
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&r); err != nil {
		return Result{}, fmt.Errorf("it is not a result: %w", err)
	}
	switch {
	case r.Format == 0 || r.Started.IsZero():
		return Result{}, errors.New("it is not a result of bench")
	case r.Format > Format:
		return Result{}, fmt.Errorf("a newer ssg-bootstrap wrote it (format %d, this one reads %d)", r.Format, Format)
	}
	for _, row := range r.Rows {
		def, ok := Define(row.Metric)
		if !ok || def.Unit != row.Unit {
			return Result{}, fmt.Errorf("its row %q in %q is none of ours", row.Metric, row.Unit)
		}
	}
	return r, nil
}
