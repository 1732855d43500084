package runner

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// packages are the libraries that the runner's program is linked against. It
// looks for them itself and refuses to be configured without; its own script
// that installs them knows the names of yesterday's Debian only.
type packages struct{ in Input }

// library is one of them: a file that ldconfig knows, and what the package with
// it is called, in which NUMBER stands for the highest number that apt has.
type library struct{ file, pattern string }

func libraries() []library {
	return []library{
		{"libicuuc.so.", "libicu[0-9]+"},
		{"libssl.so.3", "libssl3(t64)?"},
		{"libkrb5.so.3", "libkrb5-3"},
		{"libz.so.1", "zlib1g"},
	}
}

func (packages) ID() step.ID        { return PackagesID }
func (packages) Title() string      { return "Runner's libraries" }
func (p packages) Needs() []step.ID { return p.in.after() }
func (packages) Lane() step.Lane    { return step.LaneBox }

// Observe returns the libraries that are missing.
func (packages) Observe(ctx context.Context, r host.Reader) ([]library, error) {
	out, err := r.Query(ctx, host.Command{Argv: []string{"ldconfig", "-p"}, Root: true})
	if err != nil {
		return nil, fmt.Errorf("look for libraries: %w", err)
	}
	return missingLibraries(string(out)), nil
}

func missingLibraries(cache string) []library {
	var out []library
	for _, l := range libraries() {
		if !strings.Contains(cache, "\t"+l.file) {
			out = append(out, l)
		}
	}
	return out
}

func (packages) Diff(missing []library) ([]step.Change, error) {
	var out []step.Change
	for _, l := range missing {
		out = append(out, step.Change{Verb: step.Create, Object: "package " + plainName(l.pattern), Why: "the runner needs " + strings.TrimSuffix(l.file, ".")})
	}
	return out, nil
}

func plainName(pattern string) string {
	return strings.NewReplacer("[0-9]+", "…", "(t64)?", "").Replace(pattern)
}

// installScript picks each package by what apt knows: the one with the highest
// number, since only one of them is of this Debian. Lists that were never
// fetched are fetched.
const installScript = `set -e
export DEBIAN_FRONTEND=noninteractive
pick() { apt-cache pkgnames "$(printf %s "$1" | sed 's/[[(].*//')" | grep -Ex "$1" | sort -V | tail -n 1; }
all() {
	names=
	for pattern; do
		name=$(pick "$pattern")
		[ -n "$name" ] || return 1
		names="$names $name"
	done
}
if ! all "$@"; then
	echo "fetching the lists of packages"
	apt-get -q update
	all "$@" || { echo "apt knows no package for: $*"; exit 1; }
fi
echo "installing$names"
if ! apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install $names; then
	# Lists that are weeks old name files that are gone.
	apt-get -q update
	apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install $names
fi
ldconfig
`

func (p packages) Apply(ctx context.Context, r step.Run, _ []step.Change) error {
	missing, err := p.Observe(ctx, r.Host)
	if err != nil || len(missing) == 0 {
		return err
	}
	argv := []string{"sh", "-c", installScript, "sh"}
	for _, l := range missing {
		argv = append(argv, l.pattern)
	}
	err = r.Host.Job(ctx, host.Job{Name: "runner-packages", Argv: argv, Stall: p.in.Stall}, r.Note)
	if err != nil {
		return fmt.Errorf("install the runner's libraries: %w", err)
	}
	return nil
}
