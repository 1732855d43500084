// Package recovery takes what cannot be rebuilt off a box and brings it back.
//
// It keeps the promise that a backup is taken while the application runs, that
// what has arrived once does not cross the link again, that a backup counts
// only after it was read back, and that a restore is proven: what lies on the
// box afterwards is compared with what was taken, piece by piece.
package recovery

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	_ "embed"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// The parts of a backup.
const (
	MySQL    = "mysql"
	RabbitMQ = "rabbitmq"
	Volumes  = "volumes"
	K3s      = "k3s"
	Tailnet  = "tailnet"
	Runner   = "runner"
	Computer = "computer"
)

// onBox are the parts that the box itself cuts into pieces, the quick ones
// first: what the state says of the data must not be newer than the data.
func onBox() []string { return []string{K3s, Tailnet, Runner, Volumes, MySQL} }

// Parts are the parts to take of a box, with a release of the application on it
// or without.
func Parts(release bool) []string {
	all := append(onBox(), RabbitMQ, Computer)
	if release {
		return all
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == MySQL || name == RabbitMQ })
}

// OnBox reports whether the box itself cuts a part into pieces.
func OnBox(part string) bool { return slices.Contains(onBox(), part) }

// About is what a backup says of the box that it was taken from.
type About struct {
	Tool      string `json:"tool,omitempty"`
	K3s       string `json:"k3s,omitempty"`
	Node      string `json:"node,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Release   string `json:"release,omitempty"`
	ImageTag  string `json:"imageTag,omitempty"`
	// GTID is the database's position in its own log when it was read.
	GTID   string  `json:"gtid,omitempty"`
	Tables []Table `json:"tables,omitempty"`
	Queues []Queue `json:"queues,omitempty"`
	// Scale is how many pods the workloads had that write.
	Scale map[string]int32 `json:"scale,omitempty"`
}

// Table is one table of a database as it was read.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// Sum is over the sums of its pieces.
	Sum vault.Sum `json:"sum"`
}

// Queue is one queue with the messages that were taken from it.
type Queue struct {
	Name     string `json:"name"`
	Messages int    `json:"messages"`
}

// ReadAbout reads what a manifest says of its box.
func ReadAbout(m vault.Manifest) (About, error) {
	var a About
	if len(m.About) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(m.About, &a); err != nil {
		return a, fmt.Errorf("read what backup %s says of its box: %w", m.ID, err)
	}
	return a, nil
}

// Tables adds up the pieces of a dump by table.
func Tables(x vault.Index) []Table {
	var out []Table
	var sums [][]byte
	flush := func() {
		if n := len(out); n > 0 {
			out[n-1].Sum = vault.SumOf(slices.Concat(sums...))
		}
		sums = nil
	}
	for _, p := range x {
		if p.Table == "" {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Name != p.Table {
			flush()
			out = append(out, Table{Name: p.Table})
		}
		out[len(out)-1].Rows += p.Rows
		sums = append(sums, p.Sum[:])
	}
	flush()
	return out
}

//go:embed onbox/pieces.pl
var piecesTool []byte

//go:embed onbox/snapshot.sh
var snapshotScript []byte

// DefaultFolder is where the box keeps what is on its way. Only root sees it.
const DefaultFolder = "/var/lib/ssg-bootstrap/backup"

// Box is one box as backups see it.
type Box struct {
	Host host.Host
	// Folder is where things lie on their way, Root where the file system
	// begins; empty for the usual ones.
	Folder, Root string
	// Namespace and Release are the application's.
	Namespace, Release string
}

func (b Box) folder() string {
	if b.Folder == "" {
		return DefaultFolder
	}
	return b.Folder
}

func (b Box) at(names ...string) string {
	return strings.Join(append([]string{b.folder()}, names...), "/")
}

// part makes sure that a name is one of a part.
func part(name string, known []string) error {
	if slices.Contains(known, name) {
		return nil
	}
	return fault.New(fault.Usage, "name one of "+strings.Join(known, ", "), "there is no part %q", name)
}
