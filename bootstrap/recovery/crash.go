package recovery

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// crashScript says what a power cut may have left behind, a line each.
const crashScript = `export PATH="$PATH:/usr/local/bin:/usr/sbin"
root=$1 namespace=$2
for f in "$root"/sys/fs/ext4/*/errors_count; do [ ! -r "$f" ] || read -r n <"$f" && echo "fs ${n:-0} $f"; done 2>/dev/null
find "$root/etc/rancher" "$root/etc/ssg-bootstrap" "$root/var/lib/ssg-bootstrap" "$root/var/lib/rancher/k3s/server/tls" "$root/var/lib/rancher/k3s/server/token" "$root/usr/local/bin/k3s" "$root/var/lib/tailscale/tailscaled.state" \
	-maxdepth 3 -type f -size 0 ! -name '*.lock' ! -path '*/backup/*' 2>/dev/null | sed 's/^/empty /'
find "$root"/var/lib/github-runner/*/runsvc.sh "$root"/opt/*runner*/runsvc.sh -size 0 2>/dev/null | sed 's/^/runsvc /'
# systemd takes an empty unit for one that is masked: nothing fails, nothing starts.
find "$root/etc/systemd/system" -maxdepth 2 -type f -size 0 \
	\( -name k3s.service -o -name k3s-agent.service -o -name 'ssg-bootstrap-*.service' -o -name 'actions.runner.*.service' -o -name '*ssg-bootstrap*.conf' \) 2>/dev/null | sed 's/^/masked /'
db=$root/var/lib/rancher/k3s/server/db/state.db
if [ -r "$db" ]; then
	# Pages, and pages that are free, from the database's header.
	echo "kine $(stat -c %s "$db") $(stat -c %s "$db-wal" 2>/dev/null || echo 0) $(od -An -tu1 -j28 -N4 "$db" | awk '{ print ((($1*256+$2)*256+$3)*256+$4) }') $(od -An -tu1 -j36 -N4 "$db" | awk '{ print ((($1*256+$2)*256+$3)*256+$4) }')"
	# A compaction that takes longer than its 5 s ends k3s itself (kine's MustCommit).
	# A pattern in small letters finds capitals as well.
	echo "compact $(journalctl -q -b -u k3s -o cat --grep 'compact.*(failed|error)|transaction commit failed' 2>/dev/null | wc -l)"
fi
nft list table inet ssg_bootstrap_restore >/dev/null 2>&1 && echo "shut"
systemctl list-units --failed --no-legend --plain 2>/dev/null | awk '{ print "failed", $1 }'
command -v k3s >/dev/null || exit 0
k3s kubectl get --raw /readyz >/dev/null 2>&1 || { echo mute; exit 0; }
k3s kubectl get deployments -A -o 'jsonpath={range .items[*]}{.metadata.annotations.ssg-bootstrap/replicas} {.metadata.name}{"\n"}{end}' 2>/dev/null | awk 'NF == 2 { print "paused", $2 }'
k3s kubectl -n "$namespace" get pods -o 'jsonpath={range .items[*]}{.metadata.name} {.status.phase} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' 2>/dev/null | awk '$2 != "Succeeded" && $3 != "True" { print "pod", $1, $2 }'
find "$root"/var/lib/rancher/k3s/storage -maxdepth 2 -name .quarantine 2>/dev/null | sed 's/^/quarantine /'
:
`

// The sizes from which on the datastore is called large, in bytes, and the
// share of free pages from which on it is worth being written anew.
const (
	largeDatastore = 256 << 20
	largeLog       = 128 << 20
	mostlyFree     = 0.5
)

// AfterCrash looks for what a power cut may have left inconsistent. Each
// finding names the command that mends it.
func (b Box) AfterCrash(ctx context.Context, r host.Reader) ([]facts.Finding, error) {
	mark, err := b.ReadMark(ctx, r)
	if err != nil {
		return nil, err
	}
	out, err := r.Query(ctx, host.Command{Argv: []string{"sh", "-c", crashScript, "sh", b.Root, b.Namespace}, Root: true})
	if err != nil {
		return nil, fmt.Errorf("look for what a crash left: %w", err)
	}
	found := crashFindings(string(out))
	if mark.Unfinished() {
		found = append(found, facts.Finding{
			Grade: facts.Warn, Check: "restore", Text: "backup " + mark.ID + " is half restored",
			Remedy: "`ssg-bootstrap install --host HOST` goes on with it",
		})
	}
	if len(found) == 0 {
		found = append(found, facts.Finding{Grade: facts.OK, Check: "after-crash", Text: "nothing was left inconsistent"})
	}
	return found, nil
}

func crashFindings(text string) []facts.Finding {
	var out []facts.Finding
	warn := func(check, remedy, format string, args ...any) {
		out = append(out, facts.Finding{Grade: facts.Warn, Check: check, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	const again = "`ssg-bootstrap install --host HOST` brings it again"
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "fs" && len(f) == 3 && f[1] != "0":
			warn("file system", "restart the box with `fsck.mode=force` on the kernel's line, and look at `smartctl -a` of the disk", "the kernel counted %s errors (%s)", f[1], f[2])
		case f[0] == "empty" && len(f) == 2:
			warn("empty file", again, "%s has no content", f[1])
		case f[0] == "masked" && len(f) == 2:
			warn("empty unit", again, "%s has no content: systemd does not start what it is for", f[1])
		case f[0] == "runsvc" && len(f) == 2:
			warn("runner", "copy bin/runsvc.sh over it, or `ssg-bootstrap install --host HOST`", "%s has no content: the runner does not start", f[1])
		case f[0] == "kine" && len(f) == 5:
			out = append(out, datastore(f[1:])...)
		case f[0] == "compact" && len(f) == 2 && f[1] != "0":
			warn("datastore", "if it goes on, set `etcd-compaction-interval: 10m` in the profile's k3s.apiServerArgs", "k3s failed to compact it %s times since the start", f[1])
		case f[0] == "shut":
			warn("restore", "`ssg-bootstrap install --host HOST`", "ports 80 and 443 are shut, as during a restore")
		case f[0] == "mute":
			warn("API server", "wait some minutes and ask again; then read `journalctl -u k3s` on the box", "it does not answer: pods and a restore that broke off were not looked at")
		case f[0] == "failed" && len(f) == 2:
			warn("unit", "read `journalctl -u "+f[1]+"` on the box", "%s failed", f[1])
		case f[0] == "paused" && len(f) == 2:
			warn("restore", "repeat the `ssg-bootstrap restore` that broke off", "%s is stopped for a restore that did not end", f[1])
		case f[0] == "pod" && len(f) == 3:
			warn("pod", "wait some minutes; then `ssg-bootstrap status --host HOST`", "%s is %s and not Ready", f[1], f[2])
		case f[0] == "quarantine" && len(f) == 2:
			warn("database", "its data were set aside and made anew: compare, then `ssg-bootstrap restore --host HOST --only mysql` or remove the folder", "%s holds a database whose first start broke off", f[1])
		}
	}
	return out
}

// datastore judges k3s's database: bytes, bytes of its log, pages, free pages.
func datastore(fields []string) []facts.Finding {
	var n [4]float64
	for i, f := range fields {
		v, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return nil
		}
		n[i] = v
	}
	size, log, pages, free := n[0], n[1], n[2], n[3]
	const mb = 1e6
	f := facts.Finding{Grade: facts.OK, Check: "datastore", Text: fmt.Sprintf("k3s's database has %.0f MB, its log %.0f MB, %.0f %% of its pages are free", size/mb, log/mb, 100*free/max(pages, 1))}
	switch {
	case size > largeDatastore && free > mostlyFree*pages:
		f.Grade, f.Remedy = facts.Warn, "it is compacted, but never shrinks by itself: with `apt install sqlite3` on the box, stop k3s, `sqlite3 /var/lib/rancher/k3s/server/db/state.db VACUUM`, start k3s"
	case size > largeDatastore, log > largeLog:
		f.Grade, f.Remedy = facts.Warn, "it grows because compaction does not keep up: look for 'compact' in `journalctl -u k3s`, and for a slow disk with `ssg-bootstrap doctor --host HOST`"
	}
	return []facts.Finding{f}
}
