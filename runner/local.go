package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

// lookScript tells what is there of the runner. The unit's name is read, never
// computed: a long one ends in random figures.
const lookScript = `root=$1 archive=$2 record=$3
[ -r "$record" ] && read -r recorded <"$record" && [ -f "$archive" ] && case $recorded in "$(stat -c '%s %.9Y %i' "$archive") "*) echo "archive=${recorded##* }" ;; esac
if [ -d "$root" ]; then
	[ -r "$root/.ssg-bootstrap" ] && read -r v <"$root/.ssg-bootstrap" && echo "unpacked=$v"
	[ -L "$root/bin" ] && echo "bin=$(readlink "$root/bin")"
	for f in config.sh bin/Runner.Listener bin/runsvc.sh .credentials .credentials_rsaparams; do
		[ -s "$root/$f" ] || echo "missing.$f=yes"
	done
	[ -s "$root/.runner" ] && printf 'settings=' && tr -d '\r\n' <"$root/.runner" && echo
	[ -r "$root/.service" ] && read -r s <"$root/.service" && echo "service=$s"
	if cmp -s "$root/bin/runsvc.sh" "$root/runsvc.sh"; then echo "runsvc=same"
	elif [ -e "$root/runsvc.sh" ]; then echo "runsvc=$(stat -c %s "$root/runsvc.sh") bytes"; fi
	if [ -d "$root/_diag" ]; then
		for l in $(ls -t "$root/_diag" | head -n 1); do echo "diag=$(stat -c %Y "$root/_diag/$l")"; done
	fi
fi
echo "now=$(date +%s)"
found= torn=
for u in /etc/systemd/system/actions.runner.*.service; do
	[ -f "$u" ] || continue
	if grep -qxF "WorkingDirectory=$root" "$u"; then found="$found ${u##*/}"
	elif ! grep -q '^WorkingDirectory=' "$u"; then torn="$torn ${u##*/}"; fi
done
echo "units=$found"
echo "torn=$torn"
[ -n "$found" ] || exit 0
echo "-- units --"
TZ=UTC LC_ALL=C systemctl show -p Id,LoadState,ActiveState,UnitFileState,NeedDaemonReload,MainPID,NRestarts,ExecMainStartTimestamp,ActiveEnterTimestamp -- $found
:
`

// settings are what config.sh wrote into .runner.
type settings struct {
	ID     int64  `json:"agentId"`
	Name   string `json:"agentName"`
	URL    string `json:"gitHubUrl"`
	Folder string `json:"workFolder"`
}

// local is what is there of the runner.
type local struct {
	// archive is the digest of the archive that lies on the box.
	archive string
	// version is that of the program, which updates itself.
	version string
	// whole says that the program was unpacked to its end and is there.
	whole    bool
	settings *settings
	// registered says that the files are there by which GitHub knows it.
	registered bool
	// service is the unit's name, "" when svc.sh has installed none.
	service string
	// runsvc is "same", "" when it is not there, else what is wrong with it.
	runsvc string
	// units are all units that run from our folder.
	units managed.Units
	names []string
	// torn are units that say not where they run: svc.sh does not wait for the
	// disk, and a power cut leaves its file empty.
	torn   []string
	active time.Time
	now    time.Time
	files  managed.State
}

// lookQuery is the same for all steps, so that a plan asks it once.
func lookQuery() host.Command {
	return host.Command{Argv: []string{"sh", "-c", lookScript, "sh", rootDir, archivePath, archiveRecord}, Root: true}
}

func look(ctx context.Context, r host.Reader) (local, error) {
	out, err := r.Query(ctx, lookQuery())
	if err != nil {
		return local{}, fmt.Errorf("look at the runner: %w", err)
	}
	return parseLocal(string(out))
}

func parseLocal(out string) (local, error) {
	head, units, _ := strings.Cut(out, "-- units --\n")
	m := managed.Pairs([]byte(head))
	l := local{
		archive: m["archive"], service: strings.TrimSpace(m["service"]), runsvc: m["runsvc"],
		units: managed.ParseUnits([]byte(units)), names: strings.Fields(m["units"]), torn: strings.Fields(m["torn"]),
		now: seconds(m["now"]), active: seconds(m["diag"]),
	}
	l.version, _, _ = strings.Cut(m["unpacked"], " ")
	l.whole = l.version != ""
	for _, f := range []string{"config.sh", "bin/Runner.Listener", "bin/runsvc.sh"} {
		l.whole = l.whole && m["missing."+f] == ""
	}
	// An update of its own leaves a link to a folder of the new version.
	if v, ok := strings.CutPrefix(path.Base(m["bin"]), "bin."); ok {
		l.version = v
	}
	if text := strings.TrimPrefix(m["settings"], "\ufeff"); text != "" {
		var s settings
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			// A torn file is as good as none.
			return l, nil
		}
		l.settings = &s
	}
	l.registered = l.settings != nil && l.settings.ID > 0 && m["missing..credentials"] == "" && m["missing..credentials_rsaparams"] == ""
	if l.service != "" && !slices.Contains(l.names, l.service) {
		// The name is noted, its unit is gone or is not ours.
		l.service = ""
	}
	return l, nil
}

func seconds(text string) time.Time {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// unit is the state of the runner's own unit.
func (l local) unit() managed.Unit { return l.units[l.service] }

// every are all units that go when the runner of this name does: those that run
// from our folder, and what a power cut left of its own. svc.sh makes none where
// there is one already.
func (l local) every(name string) []string {
	torn := slices.DeleteFunc(slices.Clone(l.torn), func(n string) bool { return !strings.HasSuffix(n, "."+name+".service") })
	return append(torn, l.names...)
}

// stale are units that run from our folder and are not the runner's: a box that
// was renamed has one.
func (l local) stale() []string {
	return slices.DeleteFunc(slices.Clone(l.names), func(n string) bool { return n == l.service })
}
