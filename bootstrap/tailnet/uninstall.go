package tailnet

import (
	"context"
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// uninstallScript leaves the tailnet and takes everything of ours away. Without
// a control server the box still goes; its device then stays in the tailnet as
// one that is not connected. Programs of somebody else, of which there is no
// record, stay.
const uninstallScript = `set -u
if [ ! -e ` + recordPath + ` ]; then
	echo "tailscale was not installed by ssg-bootstrap; it stays"
	exit 0
fi
if [ -e ` + socketPath + ` ]; then
	echo "leaving the tailnet"
	timeout 30 ` + clientPath + ` logout || echo "the control server did not answer; the device stays in the tailnet's list until it is removed there"
fi
systemctl disable --now ` + unitName + `
rm -f ` + unitPath + ` ` + limitsPath + ` ` + defaultsPath + ` ` + daemonPath + ` ` + clientPath + ` ` + tarballPath + ` ` + keyPrefix + `*
rmdir ` + limitsDir + ` 2>/dev/null
systemctl daemon-reload
systemctl reset-failed ` + unitName + ` 2>/dev/null
rm -rf /var/lib/tailscale /var/cache/tailscale
rm -f ` + digestPath + ` ` + runDigestPath + ` ` + settingsPath + `
# Last, so that a removal which was interrupted can be run again.
rm -f ` + recordPath + `
echo "tailscale is removed"
`

// Uninstall takes the box out of its tailnet and removes Tailscale. It runs on
// the box as a job of its own: whoever is connected over the tailnet loses the
// connection in the middle of it.
func Uninstall(ctx context.Context, h host.Host, seen func(line string)) error {
	job := host.Job{Name: "tailnet-uninstall", Argv: []string{"sh", "-c", uninstallScript}, Stall: 5 * time.Minute}
	if err := h.Job(ctx, job, seen); err != nil {
		return fmt.Errorf("remove tailscale: %w", err)
	}
	return nil
}

// Installed reports whether there is a Tailscale that Uninstall would remove.
func Installed(ctx context.Context, r host.Reader) (bool, error) {
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", "[ -e " + recordPath + " ] && echo yes\n:\n", "sh"}, Root: true})
	return string(out) == "yes\n", err
}
