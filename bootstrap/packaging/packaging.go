// Package packaging makes what a release consists of.
//
// It keeps the promise that two builds of one commit are the same bytes: every
// name, date and version comes from the commit that Go writes into the program,
// and nothing from the clock, the folder or the order of a map.
package packaging

import (
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const program = "ssg-bootstrap"

// Target is a kind of workstation.
type Target struct {
	OS, Arch string
}

// Targets are the workstations that a release is for.
func Targets() []Target {
	var out []Target
	for _, system := range []string{"linux", "darwin", "windows"} {
		out = append(out, Target{system, "amd64"}, Target{system, "arm64"})
	}
	return out
}

func (t Target) String() string { return t.OS + "/" + t.Arch }

// ParseTargets reads some targets, such as "linux/amd64 windows/arm64"; none
// means all.
func ParseTargets(text string) ([]Target, error) {
	if strings.TrimSpace(text) == "" {
		return Targets(), nil
	}
	var out []Target
	for _, word := range strings.Fields(text) {
		i := slices.IndexFunc(Targets(), func(t Target) bool { return t.String() == word })
		if i < 0 {
			return nil, fmt.Errorf("%q is none of the targets %v", word, Targets())
		}
		out = append(out, Targets()[i])
	}
	return out, nil
}

// Binary is the file name of the program there.
func (t Target) Binary() string {
	if t.OS == "windows" {
		return program + ".exe"
	}
	return program
}

// Build is a program that was built, and what Go wrote into it.
type Build struct {
	Target Target
	Info   *debug.BuildInfo
	Binary []byte
	// Time is the commit's.
	Time time.Time
}

// ReadBuild reads what was built for a target. It refuses a program that does
// not say which commit it is of, for then nothing could be dated.
func ReadBuild(t Target, path string, binary []byte) (Build, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return Build{}, fmt.Errorf("read what was built: %w", err)
	}
	for _, s := range info.Settings {
		if s.Key != "vcs.time" {
			continue
		}
		at, err := time.Parse(time.RFC3339, s.Value)
		if err != nil {
			return Build{}, fmt.Errorf("read the commit's time: %w", err)
		}
		return Build{Target: t, Info: info, Binary: binary, Time: at.UTC()}, nil
	}
	return Build{}, fmt.Errorf("%s does not say which commit it is of: build it with -buildvcs=true in a git clone; Go does not look into a git worktree", path)
}

// Version is the tag or pseudo-version of the commit.
func (b Build) Version() string { return b.Info.Main.Version }

// Name is what the build's files begin with.
func (b Build) Name() string {
	return strings.Join([]string{program, strings.TrimPrefix(b.Version(), "v"), b.Target.OS, b.Target.Arch}, "_")
}

// DebianVersion is the version as dpkg compares it: what follows a hyphen comes
// before the release, which dpkg writes with a tilde.
func (b Build) DebianVersion() string {
	return strings.ReplaceAll(strings.TrimPrefix(b.Version(), "v"), "-", "~")
}

// File is one file of a release.
type File struct {
	Path string
	Mode uint32
	Data []byte
}

// Sums is the list of checksums as `sha256sum --check` reads it, in the order
// of the files.
func Sums(files []File) []byte {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(f.Data), f.Path)
	}
	return []byte(b.String())
}
