package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

// uninstallScript is what k3s's own uninstaller is called; install puts ours
// there.
const uninstallScript = "/usr/local/bin/k3s-uninstall.sh"

type uninstallOptions struct {
	hostFlags
	confirm string
}

func newCmdUninstall(a *app) *cobra.Command {
	var o uninstallOptions
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove k3s and all of its data from the box",
		Long: `Remove k3s and all of its data from the box, after you typed the host's name. It
says first what data goes. The settings of the operating system (zram, kernel
parameters, the journal's limit) stay; they do no harm.`,
		Example: "  ssg-bootstrap uninstall --host oldpc\n  ssg-bootstrap uninstall --host oldpc --confirm oldpc",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return uninstallRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().StringVar(&o.confirm, "confirm", "", "the host's `name`, typed beforehand; the data is lost")
	return cmd
}

// UninstallData is what was removed, as programs get it.
type UninstallData struct {
	Host    string    `json:"host"`
	Removed stateSize `json:"removed"`
}

// stateSize is what is lost: all of k3s's data, of it the pods' volumes.
type stateSize struct {
	Bytes       int64    `json:"bytes"`
	VolumeBytes int64    `json:"volumeBytes"`
	Volumes     []string `json:"volumes,omitempty"`
}

func uninstallRun(ctx context.Context, a *app, o uninstallOptions) error {
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if o.confirm != "" && o.confirm != s.name {
		return notConfirmed(o.confirm, s.name)
	}
	release, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer release()
	lost, err := s.stateSize(ctx)
	if err != nil {
		return err
	}
	a.tell(lost.warning(s.name))
	if err := o.confirmed(ctx, newPrompter(a), s.name); err != nil {
		return err
	}
	note, end := a.task("uninstall", "remove k3s")
	err = s.client.Job(ctx, host.Job{Name: "k3s-uninstall", Argv: []string{uninstallScript}, Stall: 5 * time.Minute}, note)
	end(err)
	if err != nil {
		return fmt.Errorf("remove k3s: %w", err)
	}
	a.answer(UninstallData{Host: s.name, Removed: lost}, func(w io.Writer) {
		fmt.Fprintf(w, "k3s and its data are gone from %s. `ssg-bootstrap install --host %s` makes a new cluster.\n", s.name, s.name)
	})
	return nil
}

func (o uninstallOptions) confirmed(ctx context.Context, p *prompter, name string) error {
	typed := o.confirm
	if typed == "" {
		var err error
		typed, err = p.Ask(ctx, "Type the host's name to remove all of this", "", "add --confirm "+name+"; the data is lost")
		if err != nil {
			return err
		}
	}
	if typed != name {
		return notConfirmed(typed, name)
	}
	return nil
}

func notConfirmed(typed, name string) error {
	return fault.New(fault.Usage, "type the name "+name+", or keep the cluster", "%q is not the host's name; nothing was removed", typed)
}

// sizeScript prints two sizes in KiB, then the names of the volumes.
const sizeScript = `test -x "$1" || exit 3
for d in "$2" "$2/storage"; do du -sxk "$d" 2>/dev/null | cut -f1 | grep . || echo 0; done
ls "$2/storage" 2>/dev/null || true
`

func (s *session) stateSize(ctx context.Context) (stateSize, error) {
	_, end := s.a.task("data", "see what data there is")
	out, err := s.client.Query(ctx, host.Command{Argv: []string{"sh", "-c", sizeScript, "sh", uninstallScript, "/var/lib/rancher/k3s"}, Root: true})
	end(err)
	var failed *host.CommandError
	if errors.As(err, &failed) && failed.Exit == 3 {
		return stateSize{}, fault.New(fault.NotInstalled, "nothing is to be removed", "there is no k3s on %s that could be uninstalled", s.name)
	}
	if err != nil {
		return stateSize{}, fmt.Errorf("see what data there is: %w", err)
	}
	return parseSize(out)
}

func parseSize(out []byte) (stateSize, error) {
	var size stateSize
	lines := strings.Split(string(bytes.TrimRight(out, "\n")), "\n")
	if len(lines) < 2 {
		return size, fmt.Errorf("see what data there is: not the two sizes expected: %.80q", out)
	}
	for i, into := range []*int64{&size.Bytes, &size.VolumeBytes} {
		n, err := strconv.ParseInt(lines[i], 10, 64)
		if err != nil || n < 0 || n > 1<<50 {
			return stateSize{}, fmt.Errorf("see what data there is: not a size: %.80q", lines[i])
		}
		*into = n << 10
	}
	size.Volumes = lines[2:]
	return size, nil
}

func (s stateSize) warning(host string) string {
	text := fmt.Sprintf("This removes k3s from %s with all of its data, %s: the cluster's state, its certificates and token, and every image.", host, report.Bytes(s.Bytes))
	if len(s.Volumes) == 0 {
		return text + " There are no volumes of pods."
	}
	names := make([]string, len(s.Volumes))
	for i, v := range s.Volumes {
		names[i] = "\n  " + report.Clean(v)
	}
	return fmt.Sprintf("%s Lost as well: %s of pods with %s:%s", text, count(len(s.Volumes), "volume"), report.Bytes(s.VolumeBytes), strings.Join(names, ""))
}
