package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// user is who runs jobs: nobody who may become root, and no member of a group
// that amounts to it.
type user struct{}

type userState struct {
	there, ours bool
	home        string
	groups      []string
	// owners are "user:group mode" by folder.
	owners map[string]string
}

const userScript = `getent passwd "$1" | while IFS=: read -r name x uid gid comment home rest; do echo "home=$home"; echo "comment=$comment"; done
if getent passwd "$1" >/dev/null; then echo "groups=$(id -nG "$1")"; fi
shift
for d; do [ -d "$d" ] && echo "owner.$d=$(stat -c '%U:%G %a' "$d")"; done
:
`

// folders are made with their owner and mode.
func folders() []struct{ path, owner, mode string } {
	return []struct{ path, owner, mode string }{
		{baseDir, "root:root", "755"},
		{homeDir, userName + ":" + userName, "700"},
	}
}

func (user) ID() step.ID      { return UserID }
func (user) Title() string    { return "Runner's user" }
func (user) Needs() []step.ID { return nil }
func (user) Lane() step.Lane  { return step.LaneBox }

func (user) Observe(ctx context.Context, r host.Reader) (userState, error) {
	argv := []string{"sh", "-c", userScript, "sh", userName}
	for _, f := range folders() {
		argv = append(argv, f.path)
	}
	out, err := r.Query(ctx, host.Command{Argv: argv, Root: true})
	if err != nil {
		return userState{}, fmt.Errorf("look for the user %s: %w", userName, err)
	}
	m := managed.Pairs(out)
	_, there := m["home"]
	s := userState{there: there, ours: m["comment"] == userComment, home: m["home"], groups: strings.Fields(m["groups"]), owners: map[string]string{}}
	for _, f := range folders() {
		s.owners[f.path] = m["owner."+f.path]
	}
	return s, nil
}

// mighty are groups whose members are root by another name.
func mighty() []string {
	return []string{"root", "sudo", "wheel", "admin", "docker", "lxd", "libvirt", "disk", "shadow"}
}

const userObject = "user " + userName

func (user) Diff(s userState) ([]step.Change, error) {
	for _, g := range s.groups {
		if slices.Contains(mighty(), g) {
			return nil, fault.New(fault.ForeignConfig, "take it out with `gpasswd -d "+userName+" "+g+"` on the box, or remove the user if it is not needed",
				"the user %s is in the group %s, with which its jobs could become root", userName, g)
		}
	}
	var out []step.Change
	switch {
	case !s.there:
		out = append(out, step.Change{Verb: step.Create, Object: userObject, Why: "absent"})
	case s.home != homeDir:
		out = append(out, step.Change{Verb: step.Update, Object: userObject, Why: "its home is " + s.home, Foreign: !s.ours})
	}
	for _, f := range folders() {
		switch got := s.owners[f.path]; {
		case got == "":
			out = append(out, step.Change{Verb: step.Create, Object: f.path, Why: "absent"})
		case got != f.owner+" "+f.mode:
			out = append(out, step.Change{Verb: step.Update, Object: f.path, Why: got + " → " + f.owner + " " + f.mode})
		}
	}
	return out, nil
}

const makeUserScript = `set -e
name=$1 home=$2 comment=$3
if getent passwd "$name" >/dev/null; then
	usermod --home "$home" --comment "$comment" "$name"
else
	useradd --system --user-group --home-dir "$home" --no-create-home --shell /usr/sbin/nologin --comment "$comment" "$name"
fi
`

func (user) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	for _, c := range changes {
		if c.Object != userObject {
			continue
		}
		argv := []string{"sh", "-c", makeUserScript, "sh", userName, homeDir, userComment}
		if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
			return fmt.Errorf("make the user %s: %w", userName, err)
		}
	}
	for _, f := range folders() {
		owner, group, _ := strings.Cut(f.owner, ":")
		argv := []string{"install", "-d", "-o", owner, "-g", group, "-m", f.mode, f.path}
		if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
			return fmt.Errorf("make %s: %w", f.path, err)
		}
	}
	return nil
}
