//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// TestRecovery is the drill: a box with data, a name in the tailnet and a runner
// loses its disk and comes back by one line. The parts build on each other.
func TestRecovery(t *testing.T) {
	b := newBox(t)
	b.becomeRunner(t)
	d := &drill{box: b, tailnet: b.inTailnet(t)}
	d.knownHosts = ownKnownHosts(t, b)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	inOrder(t, []part[func(*drill, *testing.T, *figures)]{
		{"a box with data", (*drill).fill},
		{"a backup while the application runs", (*drill).backUp},
		{"the databases' files and their dump are measured", (*drill).measureBoth},
		{"a second one sends what changed", (*drill).backUpAgain},
		{"one table comes back into the running box", (*drill).restoreOne},
		{"a fresh disk asks for an answer", (*drill).loseTheDisk},
		{"a damaged backup is refused and another offered", (*drill).damaged},
		{"one line brings everything back", (*drill).recover},
		{"cut and killed on the way, it comes back", (*drill).recoverBadly},
	}, func(t *testing.T, run func(*drill, *testing.T, *figures)) { run(d, t, f) })
}

// drill is a box whose data are known.
type drill struct {
	*box
	// tailnet is nil and knownHosts empty where the drill goes without them.
	tailnet    *tailnet
	knownHosts string
	// before is what the box held when it was backed up, device what the
	// tailnet knew of it.
	before string
	device tailnetDevice
	// fresh are the files of the pieces that only the newest backup has.
	fresh []string
}

// drillRows and drillMessages are what the drill leaves to be found again.
const (
	drillRows     = 50_000
	drillMessages = 5
)

// ownKnownHosts gives the client a file of known hosts that nobody but itself
// changes: with the lab's own it would know each new disk's key beforehand.
func ownKnownHosts(t *testing.T, b *box) string {
	t.Helper()
	known, err := os.ReadFile(b.guest.KnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.client.home, "known_hosts")
	writeFile(t, file, string(known))
	text, err := os.ReadFile(b.client.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, b.client.config, strings.ReplaceAll(string(text), b.guest.KnownHostsFile(), file))
	return file
}

// mariadb runs statements on the primary, as the server's own user.
func (d *drill) mariadb(t *testing.T, sql string) string {
	t.Helper()
	return d.root(t, "k3s kubectl -n "+namespace+` exec -i mysql-primary-0 -c mariadb -- sh -c 'exec mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" --batch --skip-column-names schooldb' <<'SQL'
`+sql+`
SQL
`)
}

// holdings are what must be there again after the disk was lost: every table by
// its checksum, the secrets, the cluster's and the box's identities, the files
// of a volume that no service of ours has.
func (d *drill) holdings(t *testing.T) string {
	t.Helper()
	tables := strings.Fields(d.mariadb(t, "SELECT table_name FROM information_schema.tables WHERE table_schema='schooldb' AND table_type='BASE TABLE' ORDER BY 1;"))
	var out strings.Builder
	fmt.Fprintf(&out, "tables\n%s", d.mariadb(t, "CHECKSUM TABLE "+strings.Join(tables, ", ")+"; SELECT count(*) FROM drill;"))
	out.WriteString(d.root(t, `
k3s kubectl -n `+namespace+` get secrets -l app.kubernetes.io/managed-by=ssg-bootstrap -o jsonpath='{range .items[*]}{.metadata.name} {.data}{"\n"}{end}' | sha256sum
sha256sum </var/lib/rancher/k3s/server/token
sha256sum </var/lib/rancher/k3s/server/tls/server-ca.crt
cat /etc/rancher/node/password | sha256sum
cat /var/lib/rancher/k3s/storage/*_default_drill/file
`+queues+` | sort`))
	if d.tailnet != nil {
		out.WriteString(d.root(t, "tailscale ip\ntailscale status --json --peers=false | grep -o '\"DNSName\": *\"[^\"]*\"' | head -n 1\n"))
	}
	if d.github != nil {
		out.WriteString(d.root(t, "grep -ao '\"agentName\": *\"[^\"]*\"' "+runnerRoot+"/.runner\ncat "+runnerRoot+"/.service\n"))
	}
	return out.String()
}

// isWhatItWas compares the box with what it was before it was lost.
func (d *drill) isWhatItWas(t *testing.T) {
	t.Helper()
	if d.tailnet != nil {
		d.isNode(t, d.tailnet)
		now := d.tailnet.device(t)
		if now.Name != d.device.Name || !slices.Equal(now.Addresses, d.device.Addresses) {
			t.Errorf("the tailnet has %+v in place of %+v", now, d.device)
		}
	}
	if got := d.holdings(t); got != d.before {
		t.Errorf("the box holds\n%s\nwant\n%s", got, d.before)
	}
	if d.github != nil {
		theRunnerIsAsAsked(t, d.box)
		d.mustAsRunner(t, "kubectl -n "+namespace+" get pods")
	}
	if got := d.get(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: %d", got)
	}
	if left := d.root(t, "nft list tables; ls /etc/systemd/system/k3s.service.d 2>/dev/null || true"); strings.Contains(left, "restore") {
		t.Errorf("the way in is still shut:\n%s", left)
	}
}

const drillVolume = `
image=$(k3s kubectl -n ` + namespace + ` get pods -l app.kubernetes.io/component=redis -o jsonpath='{.items[0].spec.containers[0].image}')
k3s kubectl apply -f - <<YAML
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: drill, namespace: default}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: drill, namespace: default}
spec:
  containers:
    - {name: c, image: "$image", command: [sh, -c, "[ -e /data/file ] || date +%s%N >/data/file; exec sleep 1000000"], volumeMounts: [{name: d, mountPath: /data}]}
  volumes: [{name: d, persistentVolumeClaim: {claimName: drill}}]
YAML
k3s kubectl -n default wait --for=condition=Ready pod/drill --timeout=300s
`

func (d *drill) fill(t *testing.T, f *figures) {
	r := d.client.must(t, "install", "--host", hostName)
	f.add(t, "install of the box that will be lost", "%s", seconds(r.took))
	if d.tailnet != nil {
		d.isNode(t, d.tailnet)
		d.device = d.tailnet.device(t)
	}
	d.leaveData(t)
}

// leaveData makes what must be there again: rows, the files of a volume, and
// messages that nobody has taken yet.
func (d *drill) leaveData(t *testing.T) {
	t.Helper()
	d.mariadb(t, fmt.Sprintf("CREATE TABLE drill (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(64), b VARCHAR(200)); INSERT INTO drill (a, b) SELECT md5(seq), concat(sha2(seq, 256), sha2(seq + 1, 256)) FROM seq_1_to_%d;", drillRows))
	d.root(t, drillVolume)
	d.leaveMessages(t, drillMessages)
}

// leaveMessages lets the application send mails that nobody takes: the worker
// is away.
func (d *drill) leaveMessages(t *testing.T, n int) {
	t.Helper()
	d.mariadb(t, "INSERT INTO execs (first_name, last_name, email, username, password, role) VALUES ('D', 'Rill', 'drill@example.org', 'drill', 'x', 'admin');")
	d.root(t, kubectl+"scale deployment -l app.kubernetes.io/component=worker --replicas=0 && "+kubectl+"wait --for=delete pod -l app.kubernetes.io/component=worker --timeout=180s")
	host := strings.TrimSpace(d.root(t, kubectl+"get ingress -o jsonpath='{.items[0].spec.rules[0].host}'"))
	for range n {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/execs/forgotpassword", d.guest.State().Ports.HTTP), strings.NewReader(`{"email":"drill@example.org"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("forgot password: %s", resp.Status)
		}
	}
	// Each look starts an Erlang machine in the pod, which takes this CPU a
	// quarter of a minute.
	d.until(t, 5*time.Minute, `{ [ "$(`+queues+` | awk '{ n += $2 } END { print n }')" = `+fmt.Sprint(n)+` ]; }`)
}

const queues = kubectl + "exec rabbitmq-0 -- rabbitmqctl --quiet list_queues name messages_ready --no-table-headers"

// backupData is what `backup` answers.
type backupData struct {
	ID                               string
	Bytes, Missing, Stored, BytesGot int64
	Parts                            []struct{ Name string }
	About                            struct {
		GTID   string
		Tables []struct {
			Name string
			Rows int64
		}
		Queues []struct {
			Name     string
			Messages int
		}
	}
}

// saysWhatItHolds compares what a backup says of itself with what the drill left.
func (d *drill) saysWhatItHolds(t *testing.T, data backupData) {
	t.Helper()
	var parts []string
	for _, p := range data.Parts {
		parts = append(parts, p.Name)
	}
	want := []string{"computer", "k3s", "mysql", "rabbitmq", "volumes"}
	if d.tailnet != nil {
		want = append(want, "tailnet")
	}
	if d.github != nil {
		want = append(want, "runner")
	}
	slices.Sort(parts)
	slices.Sort(want)
	if !slices.Equal(parts, want) {
		t.Errorf("the backup has the parts %v, want %v", parts, want)
	}
	if !regexp.MustCompile(`^\d+-\d+-\d+`).MatchString(data.About.GTID) {
		t.Errorf("the databases' position is %q", data.About.GTID)
	}
	rows, messages := int64(0), 0
	for _, table := range data.About.Tables {
		if table.Name == "schooldb.drill" {
			rows = table.Rows
		}
	}
	for _, q := range data.About.Queues {
		messages += q.Messages
	}
	if rows != drillRows || messages != drillMessages {
		t.Errorf("the backup says that it has %d rows and %d messages, want %d and %d: %+v", rows, messages, drillRows, drillMessages, data.About)
	}
}

func (d *drill) backup(t *testing.T) (backupData, *run) {
	t.Helper()
	r := d.client.must(t, "backup", "--host", hostName)
	var data backupData
	if err := json.Unmarshal(r.result(t).Data, &data); err != nil {
		t.Fatal(err)
	}
	return data, r
}

func (d *drill) backUp(t *testing.T, f *figures) {
	process, running := d.k3sProcess(t), d.containers(t)
	d.before = d.holdings(t)
	data, r := d.backup(t)
	if data.ID != "000001" {
		t.Errorf("the first backup is %s", data.ID)
	}
	d.saysWhatItHolds(t, data)
	f.add(t, "backup", "%s, %s of data, %s over the link, client's peak memory %s", seconds(r.took), megabytes(data.Bytes), megabytes(data.BytesGot), megabytes(r.peakMemory(t)))
	if now := d.k3sProcess(t); now != process {
		t.Errorf("k3s was restarted: %s, then %s", process, now)
	}
	if now := d.containers(t); now != running {
		t.Errorf("pods were restarted:\n%s\nthen\n%s", running, now)
	}
	d.client.must(t, "backup", "verify", "--host", hostName)
	found := filepath.Join(t.TempDir(), "found")
	d.client.must(t, "backup", "unpack", "--host", hostName, "--into", found)
	mine, err := os.ReadFile(d.client.config)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(found, "ssg-bootstrap.yaml")); err != nil || string(kept) != string(mine) {
		t.Errorf("the configuration came out as %q, %v", kept, err)
	}
	if open := d.root(t, "find /var/lib/ssg-bootstrap/backup -perm /077 -not -type l -path '*/pieces/*' | head -3; stat -c %a /var/lib/ssg-bootstrap/backup"); open != "700\n" {
		t.Errorf("others can see what lies on the box: %s", open)
	}
}

// Ways to read all data of the primary off the disk, each with what it amounts
// to after quick compression. A physical backup (mariadb-backup) reads at least
// the files but for the binary logs; a logical one is what the backup does. Both
// begin without anything in memory.
const (
	readFiles = `tar -C $(echo ` + primaryVolume + `) --exclude='./mysql-bin.*' -cf - .`
	readRows  = kubectl + `exec ` + primary + ` -c mariadb -- sh -c 'exec mariadb-dump --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" --single-transaction --quick --skip-extended-insert --order-by-primary --hex-blob --databases schooldb'`
	readTimed = `sync; echo 3 >/proc/sys/vm/drop_caches
begin=$(date +%%s%%N)
bytes=$(%s 2>/dev/null | zstd -q -1 -c | wc -c)
echo "$bytes $(($(date +%%s%%N) - begin))"`
	primaryVolume = "/var/lib/rancher/k3s/storage/*_" + namespace + "_*-" + primary
)

// measureBoth reads the databases in both ways, for which of them a backup
// should use is a question of the disk and the link.
func (d *drill) measureBoth(t *testing.T, f *figures) {
	for _, way := range []struct{ what, command string }{
		{"the primary's files read, as a physical backup has to", readFiles},
		{"the primary's rows dumped, as the backup does", readRows},
	} {
		out, err := d.guest.RunRoot(t.Context(), fmt.Sprintf(readTimed, way.command))
		if err != nil {
			t.Fatalf("%s: %v", way.what, err)
		}
		var bytes, nanoseconds int64
		if _, err := fmt.Sscan(string(out), &bytes, &nanoseconds); err != nil || bytes < 10_000 {
			t.Fatalf("%s: %q, %v", way.what, out, err)
		}
		f.add(t, way.what, "%s, %s after zstd -1", seconds(time.Duration(nanoseconds)), megabytes(bytes))
	}
}

func (d *drill) backUpAgain(t *testing.T, f *figures) {
	// One row in a hundred, all over the table.
	d.mariadb(t, "UPDATE drill SET a = concat('changed ', id) WHERE id % 100 = 0;")
	d.before = d.holdings(t)
	data, r := d.backup(t)
	f.add(t, "second backup after 1 % of the rows changed", "%s, %s over the link", seconds(r.took), megabytes(data.BytesGot))
}

// restoreOne replaces what went wrong after the backup.
func (d *drill) restoreOne(t *testing.T, f *figures) {
	d.mariadb(t, "DELETE FROM drill WHERE id > 100;")
	d.client.refused(t, 2, "needs-answer", "restore", "2", "--only", "mysql", "--host", hostName)
	r := d.client.must(t, "restore", "2", "--only", "mysql", "--host", hostName, "--yes")
	// It was stopped meanwhile, and is let go again at the end.
	eventually(t, "the application to answer again", func(context.Context) (bool, string) {
		code := d.get(t, "/healthz")
		return code == http.StatusOK, strconv.Itoa(code)
	})
	d.isWhatItWas(t)
	f.add(t, "restore of the databases into the running box", "%s, with a backup of what was replaced", seconds(r.took))
	d.client.must(t, "plan", "--host", hostName, "--exit-code")
}

func (d *drill) reset(t *testing.T) {
	t.Helper()
	if err := d.guest.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (d *drill) loseTheDisk(t *testing.T, _ *figures) {
	had := d.pieces(t)
	data, _ := d.backup(t)
	d.fresh = slices.DeleteFunc(d.pieces(t), func(path string) bool { return slices.Contains(had, path) })
	if data.ID != "000004" {
		t.Errorf("the newest backup is %s", data.ID)
	}
	d.reset(t)
	// From here on the box can only be the node that it was: there is no key to
	// join anew with.
	d.client.env = slices.DeleteFunc(d.client.env, func(v string) bool { return strings.HasPrefix(v, "TS_") })
	install := []string{"install", "--host", hostName}
	res := d.client.refused(t, 4, "host-key-changed", install...)
	res = d.client.refused(t, 2, "needs-answer", append(install, "--host-key", d.fingerprint(t, res))...)
	if !strings.Contains(res.Error.Next, "--restore latest") {
		t.Errorf("the next command is %q", res.Error.Next)
	}
}

// fingerprint is the one of the box's new keys that a refusal names.
func (d *drill) fingerprint(t *testing.T, res result) string {
	t.Helper()
	known, err := os.ReadFile(d.guest.KnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	var real []string
	for rest := known; ; {
		_, _, key, _, more, err := ssh.ParseKnownHosts(rest)
		if err != nil {
			break
		}
		real, rest = append(real, ssh.FingerprintSHA256(key)), more
	}
	said := regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`).FindAllString(res.Error.Message+" "+res.Error.Evidence+" "+res.Error.Next, -1)
	for _, f := range said {
		if slices.Contains(real, f) {
			return f
		}
	}
	t.Fatalf("the refusal names %v, the box has %v", said, real)
	return ""
}

// backups is the folder of the host's backups.
func (d *drill) backups() string {
	return filepath.Join(d.client.home, ".local/state/ssg-bootstrap/backups", hostName)
}

// newest is the file of the newest manifest.
func (d *drill) newest(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.backups(), "*.backup"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no backups: %v", err)
	}
	return slices.Max(found)
}

// pieces are the files of the pieces of all backups.
func (d *drill) pieces(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.backups(), "pieces-*", "??", "*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no pieces: %v", err)
	}
	return found
}

func (d *drill) damaged(t *testing.T, _ *figures) {
	if len(d.fresh) == 0 {
		t.Fatal("the newest backup shares all of its pieces: which one can be damaged?")
	}
	manifest, one := d.newest(t), d.fresh[len(d.fresh)/2]
	flipped := func(good []byte) []byte {
		bad := slices.Clone(good)
		bad[len(bad)/2] ^= 1
		return bad
	}
	for _, c := range []struct {
		name, path string
		damage     func(good []byte) []byte
	}{
		{"a bit of the manifest", manifest, flipped},
		{"the manifest truncated", manifest, func(good []byte) []byte { return good[:len(good)-20] }},
		{"a bit of a piece", one, flipped},
	} {
		good, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, c.path, string(c.damage(good)))
		res := d.client.refused(t, 1, "backup-unreadable", "install", "--host", hostName, "--restore", "latest")
		// Backup 3 is what the restore of one part replaced, and no whole box.
		if !strings.Contains(res.Error.Message, "damaged") || !strings.Contains(res.Error.Next, "--restore 000002") {
			t.Errorf("%s: %s; next: %s", c.name, res.Error.Message, res.Error.Next)
		}
		writeFile(t, c.path, string(good))
	}
	identity := filepath.Join(d.client.home, ".local/state/ssg-bootstrap/identity.age")
	if err := os.Rename(identity, identity+".away"); err != nil {
		t.Fatal(err)
	}
	res := d.client.refused(t, 1, "backup-unreadable", "install", "--host", hostName, "--restore", "latest")
	if !strings.Contains(res.Error.Message, "another age identity") {
		t.Errorf("without the identity: %s", res.Error.Message)
	}
	if err := os.Rename(identity+".away", identity); err != nil {
		t.Fatal(err)
	}
	if left := d.root(t, "ls /var/lib/rancher 2>/dev/null || true"); left != "" {
		t.Errorf("a refused restore left %s", left)
	}
}

func (d *drill) recover(t *testing.T, f *figures) {
	d.client.refused(t, 5, "restore-refused", "install", "--host", hostName, "--restore", "3")
	r := d.client.must(t, "install", "--host", hostName, "--restore", "latest")
	f.add(t, "recovery of a lost disk", "%s", seconds(r.took))
	f.steps(t, r)
	// Helm's records came back and say that the release was seen to work: that
	// was on the lost disk.
	var did struct{ Changed []struct{ Step string } }
	if err := json.Unmarshal(r.result(t).Data, &did); err != nil || !slices.Contains(did.Changed, struct{ Step string }{"release"}) {
		t.Errorf("the recovery did not end with the smoke test: %+v, %v", did, err)
	}
	d.isWhatItWas(t)
	d.client.must(t, "plan", "--host", hostName, "--exit-code")
}

// recoverBadly kills the client at several points of a recovery, and the box
// once: the same line goes on, without the flag.
func (d *drill) recoverBadly(t *testing.T, f *figures) {
	d.reset(t)
	d.knowsTheNewKey(t)
	for _, at := range []string{"restore-state", "k3s-server", "restore-data"} {
		reached := make(chan struct{})
		seen := false
		args := []string{"install", "--host", hostName}
		if at == "restore-state" {
			args = append(args, "--restore", "latest")
		}
		r := d.client.start(t, func(e event) {
			if !seen && e.Step == at && (e.Kind == "note" || e.Kind == "progress") {
				seen = true
				close(reached)
			}
		}, args...)
		await(t, r, reached, at)
		r.kill(t)
		if at == "restore-data" {
			if err := d.guest.PowerCut(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := d.guest.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := d.client.must(t, "install", "--host", hostName)
	f.add(t, "recovery that was killed three times and cut once", "last run %s", seconds(r.took))
	d.isWhatItWas(t)
	d.client.must(t, "plan", "--host", hostName, "--exit-code")
}

// knowsTheNewKey does for the client what --host-key does.
func (d *drill) knowsTheNewKey(t *testing.T) {
	t.Helper()
	known, err := os.ReadFile(d.guest.KnownHostsFile())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, d.knownHosts, string(known))
}
