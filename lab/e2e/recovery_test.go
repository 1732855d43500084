//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRecovery is the drill: a box with data loses its disk and comes back by
// one line. The parts build on each other.
func TestRecovery(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	d := &drill{box: b}
	parts := []struct {
		name string
		run  func(*drill, *testing.T, *figures)
	}{
		{"a box with data", (*drill).fill},
		{"a backup while the application runs", (*drill).backUp},
		{"a second one sends what changed", (*drill).backUpAgain},
		{"one table comes back into the running box", (*drill).restoreOne},
		{"a fresh disk asks for an answer", (*drill).loseTheDisk},
		{"a damaged backup is refused and another offered", (*drill).damaged},
		{"one line brings everything back", (*drill).recover},
		{"cut and killed on the way, it comes back", (*drill).recoverBadly},
	}
	for _, part := range parts {
		if !t.Run(part.name, func(t *testing.T) {
			begin := time.Now()
			part.run(d, t, f)
			t.Logf("took %s", seconds(time.Since(begin)))
		}) {
			t.FailNow()
		}
	}
}

// drill is a box whose data are known.
type drill struct {
	*box
	// before is what the box held when it was backed up.
	before string
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
	return out.String()
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
	d.mariadb(t, "CREATE TABLE drill (id INT PRIMARY KEY AUTO_INCREMENT, a VARCHAR(64), b VARCHAR(200)); INSERT INTO drill (a, b) SELECT md5(seq), concat(sha2(seq, 256), sha2(seq + 1, 256)) FROM seq_1_to_50000;")
	d.root(t, drillVolume)
	d.leaveMessages(t, 5)
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
	d.until(t, time.Minute, `{ [ "$(`+queues+` | awk '{ n += $2 } END { print n }')" = `+fmt.Sprint(n)+` ]; }`)
}

const queues = kubectl + "exec rabbitmq-0 -- rabbitmqctl --quiet list_queues name messages_ready --no-table-headers"

// backupData is what `backup` answers.
type backupData struct {
	ID                               string
	Bytes, Missing, Stored, BytesGot int64
	Parts                            []struct{ Name string }
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
	f.add(t, "backup", "%s, %s of data, %s over the link, client's peak memory %s", seconds(r.took), megabytes(data.Bytes), megabytes(data.BytesGot), megabytes(r.peakMemory(t)))
	if now := d.k3sProcess(t); now != process {
		t.Errorf("k3s was restarted: %s, then %s", process, now)
	}
	if now := d.containers(t); now != running {
		t.Errorf("pods were restarted:\n%s\nthen\n%s", running, now)
	}
	d.client.must(t, "backup", "verify", "--host", hostName)
	if open := d.root(t, "find /var/lib/ssg-bootstrap/backup -perm /077 -not -type l -path '*/pieces/*' | head -3; stat -c %a /var/lib/ssg-bootstrap/backup"); open != "700\n" {
		t.Errorf("others can see what lies on the box: %s", open)
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
	if got := d.holdings(t); got != d.before {
		t.Errorf("the box holds\n%s\nwant\n%s", got, d.before)
	}
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
	data, _ := d.backup(t)
	if data.ID != "000004" {
		t.Errorf("the newest backup is %s", data.ID)
	}
	d.reset(t)
	res := d.client.refused(t, 2, "needs-answer", "install", "--host", hostName)
	if !strings.Contains(res.Error.Next, "--restore latest") {
		t.Errorf("the next command is %q", res.Error.Next)
	}
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

func (d *drill) damaged(t *testing.T, _ *figures) {
	path := d.newest(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	identity := filepath.Join(d.client.home, ".local/state/ssg-bootstrap/identity.age")
	for name, data := range map[string][]byte{"a bit": flipped, "truncated": good[:len(good)-20]} {
		writeFile(t, path, string(data))
		res := d.client.refused(t, 1, "backup-unreadable", "install", "--host", hostName, "--restore", "latest")
		if !strings.Contains(res.Error.Message, "damaged") || !strings.Contains(res.Error.Next, "--restore 000003") {
			t.Errorf("%s: %s; next: %s", name, res.Error.Message, res.Error.Next)
		}
	}
	writeFile(t, path, string(good))
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
	r := d.client.must(t, "install", "--host", hostName, "--restore", "latest")
	if got := d.holdings(t); got != d.before {
		t.Errorf("the box holds\n%s\nwant\n%s", got, d.before)
	}
	f.add(t, "recovery of a lost disk", "%s", seconds(r.took))
	for step, took := range r.steps() {
		f.add(t, "  step "+step, "%s", seconds(took))
	}
	d.client.must(t, "plan", "--host", hostName, "--exit-code")
	if left := d.root(t, "nft list tables; ls /etc/systemd/system/k3s.service.d 2>/dev/null || true"); strings.Contains(left, "restore") {
		t.Errorf("the way in is still shut:\n%s", left)
	}
}

// recoverBadly kills the client at several points of a recovery, and the box
// once: the same line goes on, without the flag.
func (d *drill) recoverBadly(t *testing.T, f *figures) {
	d.reset(t)
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
	if got := d.holdings(t); got != d.before {
		t.Errorf("the box holds\n%s\nwant\n%s", got, d.before)
	}
	f.add(t, "recovery that was killed three times and cut once", "last run %s", seconds(r.took))
	d.client.must(t, "plan", "--host", hostName, "--exit-code")
}
