package runner

import (
	"context"
	"fmt"
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// Removal says how a runner is taken away.
type Removal struct {
	// Leave does not ask GitHub, which then keeps a record of a runner that is
	// offline until it forgets it.
	Leave bool
	// Cluster takes the jobs' rights out of the cluster too; it is of no use
	// where the cluster goes anyway.
	Cluster bool
	Note    func(text string)
}

// Removed says what was there.
type Removed struct {
	// Here says that there was something on the box, There that GitHub knew it.
	Here  bool `json:"here"`
	There bool `json:"there"`
}

// Remove takes the runner away. GitHub comes before the box: where it refuses
// or cannot be reached, the runner goes on as before and the choice is the
// user's.
func Remove(ctx context.Context, h host.Host, in Input, o Removal) (Removed, error) {
	in = in.withDefaults()
	if o.Note == nil {
		o.Note = func(string) {}
	}
	l, err := look(ctx, h)
	if err != nil {
		return Removed{}, err
	}
	done := Removed{Here: l.registered || len(l.names) > 0 || l.version != ""}
	if !o.Leave {
		o.Note("unregistering at GitHub")
		if done.There, err = unregister(ctx, in, l); err != nil {
			return Removed{}, err
		}
	}
	if !done.Here {
		return done, nil
	}
	o.Note("removing the unit and the program")
	if err := removeUnits(ctx, h, l.every(in.Want.Name)); err != nil {
		return done, err
	}
	if o.Cluster {
		if err := takeRights(ctx, h, access{in}); err != nil {
			return done, err
		}
	}
	if _, err := h.Run(ctx, host.Command{Argv: []string{"sh", "-c", removeScript, "sh", userName, baseDir, archivePath, archiveRecord, helmPath, helmRecord}, Root: true}); err != nil {
		return done, fmt.Errorf("remove the runner's files: %w", err)
	}
	return done, nil
}

const removeScript = `user=$1
shift
pkill -KILL -u "$user" || :
rm -rf "$@"
if getent passwd "$user" >/dev/null; then userdel "$user"; fi
`

func unregister(ctx context.Context, in Input, l local) (bool, error) {
	r, err := in.GitHub.Runner(ctx, in.Want.Name)
	if err != nil {
		return false, stay(err)
	}
	if r == nil {
		return false, nil
	}
	if r.Busy {
		return false, busy(in.Want.Name, l.service != "")
	}
	if err := in.GitHub.Delete(ctx, r.ID); err != nil {
		return false, stay(err)
	}
	return true, nil
}

// stay says that nothing was done, and what else can be done.
func stay(err error) error {
	next := "or add --leave-at-github: the runner then goes from the box, and GitHub shows it as offline until it forgets it after 14 days"
	if own := fault.NextOf(err); own != "" {
		next = own + "; " + next
	}
	return &fault.Error{Code: fault.CodeOf(err), Op: "unregister the runner, which was left as it is", Err: err, Evidence: fault.EvidenceOf(err), Next: next}
}

// takeRights removes what access has made; a cluster that is away is no reason
// to keep the runner.
func takeRights(ctx context.Context, h host.Host, a access) error {
	const script = `[ -x /usr/local/bin/k3s ] || exit 0
while read -r what ns; do
	timeout 60 /usr/local/bin/k3s kubectl delete --ignore-not-found ${ns:+-n "$ns"} "$what" >&2 </dev/null || echo "$what stays" >&2
done`
	names := a.names()
	slices.Reverse(names)
	var lines []byte
	for _, n := range names {
		lines = append(lines, n+"\n"...)
	}
	if _, err := h.Run(ctx, host.Command{Argv: []string{"sh", "-c", script}, Stdin: lines, Root: true}); err != nil {
		return fmt.Errorf("take the jobs' rights away: %w", err)
	}
	return nil
}
