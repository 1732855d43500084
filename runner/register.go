package runner

import (
	"context"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// unpackScript unpacks the archive as the runner's user, into a folder beside
// the one that is in use. The marker comes last: without it the folder is as
// good as not there.
const unpackScript = `set -e
archive=$1 fresh=$2 user=$3 version=$4 sum=$5
rm -rf "$fresh"
install -d -o "$user" -g "$user" -m 0755 "$fresh"
echo "unpacking"
runuser -u "$user" -- tar -xzf "$archive" -C "$fresh"
printf '%s %s\n' "$version" "$sum" | runuser -u "$user" -- tee "$fresh/.ssg-bootstrap" >/dev/null
sync -f "$fresh"
`

// swapScript puts the fresh folder in the place of the one that was in use, of
// which nothing may run any more.
const swapScript = `set -e
root=$1 fresh=$2 user=$3
pkill -KILL -u "$user" || :
rm -rf "$root.old"
if [ -e "$root" ]; then mv -T "$root" "$root.old"; fi
mv -T "$fresh" "$root"
rm -rf "$root.old"
`

// configureScript takes the token from its input into the environment, from
// which config.sh reads every argument that is not given: argv is visible to
// every user of the box, this environment to root and the runner alone.
const configureScript = `set -e
root=$1 user=$2 home=$3
shift 3
IFS= read -r ACTIONS_RUNNER_INPUT_TOKEN
export ACTIONS_RUNNER_INPUT_TOKEN
export HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8
cd "$root"
exec runuser -u "$user" -- ./config.sh "$@" >&2 </dev/null
`

// installScript has svc.sh write the unit: only the one that config.sh has just
// made knows its name. Neither of them waits for the disk.
const installServiceScript = `cd "$1" && ./svc.sh install "$2" >&2 </dev/null && sync -f . /etc/systemd/system`

// register makes the runner anew from the archive, in the order in which a
// failure costs least: what GitHub or the disk may refuse comes before the
// runner that is there is stopped.
func (s service) register(ctx context.Context, r step.Run, l local) error {
	o, err := s.answers.offered(ctx)
	if err != nil {
		return err
	}
	r.Note("unpacking the runner " + o.Version)
	err = r.Host.Job(ctx, host.Job{
		Name: "runner-unpack", Stall: s.in.Stall,
		Argv: []string{"sh", "-c", unpackScript, "sh", archivePath, freshDir, userName, o.Version, o.SHA256},
	}, nil)
	if err != nil {
		return fmt.Errorf("unpack the runner: %w", err)
	}
	token, err := s.in.GitHub.RegistrationToken(ctx)
	if err != nil {
		return err
	}
	if err := removeUnits(ctx, r.Host, l.every(s.in.Want.Name)); err != nil {
		return err
	}
	argv := []string{"sh", "-c", swapScript, "sh", rootDir, freshDir, userName}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("put the runner in its place: %w", err)
	}
	r.Note("registering with " + s.in.Want.Repository)
	if err := s.configure(ctx, r.Host, token); err != nil {
		return err
	}
	argv = []string{"sh", "-c", installServiceScript, "sh", rootDir, userName}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return refused("install the runner's unit", err, "")
	}
	return nil
}

func (s service) configure(ctx context.Context, h host.Host, token secrets.Value) error {
	w := s.in.Want
	argv := []string{
		"sh", "-c", configureScript, "sh", rootDir, userName, homeDir,
		"--unattended", "--replace", "--url", repositoryURL(w.Server, w.Repository),
		"--name", w.Name, "--labels", strings.Join(w.Labels, ","), "--work", w.Work,
	}
	if w.Group != "" {
		argv = append(argv, "--runnergroup", w.Group)
	}
	_, err := h.Run(ctx, host.Command{Argv: argv, Stdin: []byte(token.Reveal() + "\n"), Root: true})
	if err != nil {
		return refused("register the runner", err, token.Reveal())
	}
	return nil
}

// refused explains a failure of the runner's own program by what it said.
func refused(op string, err error, secret string) error {
	failed := commandOutput(err)
	if failed == nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	said := tail(failed.Stderr, secret, 15)
	next := ""
	switch text := strings.ToLower(said); {
	case strings.Contains(text, "deprecated"), strings.Contains(text, "minimum version"), strings.Contains(text, "not supported"):
		next = "GitHub takes this version no more, though it offers it: wait for the rollout of the next one, or ask at githubstatus.com; then run the same command again"
	case strings.Contains(text, "already exists"):
		next = "a runner of the name is there already; give this one another with runner.name"
	case strings.Contains(text, "could not resolve"), strings.Contains(text, "connection refused"), strings.Contains(text, "name or service"):
		next = "the box itself must reach GitHub (runner.server): check its network, then run the same command again"
	}
	return &fault.Error{
		Code: fault.RunnerRefused, Op: op, Err: fmt.Errorf("the runner's own program ended with status %d", failed.Exit),
		Evidence: said, Next: next,
	}
}
