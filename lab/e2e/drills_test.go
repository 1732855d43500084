//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
)

// TestDrills does to the application and its databases what a bad link and a
// bad power supply do. The parts build on each other.
func TestDrills(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	if os.Getenv(keepVariable) != "" {
		b.client.must(t, "install", "--host", hostName) // another computer's secrets are taken over
	}
	inOrder(t, []part[func(*testing.T, *box, *figures)]{
		{"cut and killed in mid-image", cutInMidImage},
		{"power cut in the database's first boot", powerCutInFirstBoot},
		{"power cut while the replica is set up", powerCutInSeeding},
		{"power cut under writes", powerCutUnderWrites},
		{"a lost replica after the binary logs were purged", replicaLostAfterPurge},
		{"rotations under requests", rotationsUnderRequests},
		{"what is wrong is refused and breaks nothing", wrongInputs},
		{"a cold deploy beside the seed's delays", coldDeploys},
	}, func(t *testing.T, run func(*testing.T, *box, *figures)) { run(t, b, f) })
}

// until waits on the box for a condition, given in shell.
func (b *box) until(t *testing.T, patience time.Duration, condition string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := b.guest.RunRoot(ctx, "until "+condition+"; do sleep 0.2; done\n"); err != nil {
		t.Fatalf("waited for %s: %v\n%s", condition, err, out)
	}
}

// powerCut takes the box's power away and gives it back.
func (b *box) powerCut(t *testing.T) {
	t.Helper()
	if err := b.guest.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cycle := b.root(t, "journalctl -b -o cat | grep 'ordering cycle' || true"); cycle != "" {
		t.Errorf("systemd left something out at boot:\n%s", cycle)
	}
}

const kubectl = "k3s kubectl -n " + namespace + " "

// database runs statements in a database pod as the system user, who needs no
// password there.
func (b *box) database(t *testing.T, pod, statements string) string {
	t.Helper()
	return strings.TrimSpace(b.root(t, sqlIn(pod, statements)))
}

func sqlIn(pod, statements string) string {
	return kubectl + "exec -i " + pod + " -- sh -c '" + mariadb + "' <<'SQL'\n" + statements + "\nSQL\n"
}

const (
	mariadb = `mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --user="$(id -un)" -BN --unbuffered schooldb`
	primary = "mysql-primary-0"
	replica = "mysql-replica-0"
)

// volume is the folder of a database's volume on the box.
func volume(pod string) string {
	return "/var/lib/rancher/k3s/storage/*_" + namespace + "_*-" + pod
}

// serves waits, with nobody's hands on the box, until every pod is Ready again.
// What started before the box did is the API's memory of it: after a power cut
// the kubelet has yet to tell.
func (b *box) serves(t *testing.T, patience time.Duration) {
	t.Helper()
	b.until(t, patience, fmt.Sprintf(
		`{ [ "$(%sget pods -o jsonpath='{range .items[*]}{.status.containerStatuses[0].ready} {.status.containerStatuses[0].state.running.startedAt}{"\n"}{end}' 2>/dev/null |
  awk -v boot="$(date -u -d "@$(awk '$1 == "btime" {print $2}' /proc/stat)" +%%FT%%TZ)" '$1 == "true" && $2 > boot' | wc -l)" -ge %d ]; }`,
		kubectl, len(applicationPods())))
}

// inStep waits until the replica has what the primary has, and returns the
// drill's highest number and count.
func (b *box) inStep(t *testing.T, patience time.Duration) (highest, count int) {
	t.Helper()
	const ask = "SELECT COALESCE(MAX(n), 0), COUNT(*) FROM drill"
	want := b.database(t, primary, ask)
	b.until(t, patience, fmt.Sprintf(`{ [ "$(%s 2>/dev/null)" = "%s" ]; }`, strings.TrimSpace(strings.ReplaceAll(sqlOne(replica, ask), "\n", " ")), want))
	if _, err := fmt.Sscan(want, &highest, &count); err != nil {
		t.Fatalf("read %q: %v", want, err)
	}
	return highest, count
}

// sqlOne is a statement on one line, for a condition.
func sqlOne(pod, statement string) string {
	return "echo '" + statement + "' | " + kubectl + "exec -i " + pod + " -- sh -c '" + mariadb + "'"
}

// cutInMidImage brings the application's images over 2 Mbit/s, with a cut and a
// kill on the way.
func cutInMidImage(t *testing.T, b *box, f *figures) {
	b.bare = true
	b.configure(t, b.client, b.mirror, "")
	b.client.must(t, "install", "--host", hostName)
	b.bare = false
	b.configure(t, b.client, b.mirror, "")

	const step = "images"
	b.link.SetRate(2 * link.Mbit)
	defer b.link.SetRate(0)
	before := b.link.Stats().Up
	cut, killed := make(chan struct{}), make(chan struct{})
	marks := []struct {
		at      int64
		reached chan struct{}
	}{{6_000_000, cut}, {12_000_000, killed}}
	// What crosses the link from a run's first word on the images to its end is
	// images: the link was measured before. What the client has said to have sent
	// may still lie in a buffer of its own, so the link counts.
	begun := int64(-1)
	watch := func(e event) {
		if e.Step != step || e.Kind != "progress" {
			return
		}
		if begun < 0 {
			begun = b.link.Stats().Up
		}
		if len(marks) > 0 && e.Done > marks[0].at {
			close(marks[0].reached)
			marks = marks[1:]
		}
	}
	install := []string{"install", "--host", hostName, "--only", step}
	r := b.client.start(t, watch, install...)
	await(t, r, cut, "6 MB of the images")
	b.link.Cut()
	restore := time.AfterFunc(3*time.Second, b.link.Restore)
	defer restore.Stop()
	await(t, r, killed, "12 MB of the images, after the cut")
	r.kill(t)
	crossed := b.link.Stats().Up - begun
	begun = -1
	b.link.SetRate(0)
	r = b.client.start(t, watch, install...)
	if exit := r.wait(t); exit != 0 {
		t.Fatalf("after the kill: exit %d\n%s", exit, r.log())
	}
	crossed += b.link.Stats().Up - begun
	sent, whole := b.link.Stats().Up-before, r.total(step)
	if whole == 0 || begun < 0 {
		t.Fatal("nothing was to be sent")
	}
	twice := crossed - whole
	f.add(t, "images, cut and killed at 2 Mbit/s", "%s for %s: %.2f %% more, a new connection included; %s with two plans and two measurements of the link",
		megabytes(crossed), megabytes(whole), 100*float64(twice)/float64(whole), megabytes(sent))
	if twice*100 >= whole || twice < 0 {
		t.Errorf("%d bytes crossed the link for %d", crossed, whole)
	}
}

// total is how much a step had to bring, by its last word on it.
func (r *run) total(step string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var n int64
	for _, e := range r.events {
		if e.Step == step && e.Kind == "progress" {
			n = e.Total
		}
	}
	return n
}

func powerCutInFirstBoot(t *testing.T, b *box, f *figures) {
	r := b.client.start(t, nil, "install", "--host", hostName)
	b.until(t, 20*time.Minute, "{ [ -e "+volume(primary)+"/.ssg-first-boot ] && [ -e "+volume(primary)+"/ibdata1 ]; }")
	b.powerCut(t)
	exit := r.wait(t) // it may have found the box again, or have given up
	begin := time.Now()
	b.client.must(t, "install", "--host", hostName)
	f.add(t, "power cut in MariaDB's first boot", "that run: exit %d; the next one took %s; set aside: %s", exit, seconds(time.Since(begin)),
		strings.TrimSpace(b.root(t, "ls -d "+volume(primary)+"/.quarantine/* 2>/dev/null | wc -l")))
	if got := b.database(t, primary, "SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'root' AND JSON_VALUE(Priv, '$.authentication_string') = ''"); got != "0" {
		t.Errorf("%s accounts of root have no password", got)
	}
	b.client.must(t, "plan", "--host", hostName, "--exit-code")
}

// rows fills the drill's table to n rows.
func (b *box) rows(t *testing.T, n int) {
	t.Helper()
	b.database(t, primary, "CREATE TABLE IF NOT EXISTS drill (n INT PRIMARY KEY, t TIMESTAMP DEFAULT CURRENT_TIMESTAMP, pad VARCHAR(200));\n"+
		fmt.Sprintf("INSERT IGNORE INTO drill (n, pad) SELECT seq, REPEAT('x', 200) FROM seq_1_to_%d;", n))
}

// loseReplica deletes the replica's pod and volume, as a lost disk would.
func (b *box) loseReplica(t *testing.T) {
	t.Helper()
	b.root(t, "set -e\nclaim=$("+kubectl+"get pod "+replica+" -o jsonpath='{.spec.volumes[?(@.persistentVolumeClaim)].persistentVolumeClaim.claimName}')\n"+
		kubectl+"delete pvc \"$claim\" --wait=false\n"+kubectl+"delete pod "+replica+" --wait=false\n"+
		"while "+kubectl+"get pvc \"$claim\" -o jsonpath='{.metadata.deletionTimestamp}' | grep -q .; do sleep 0.5; done\n")
}

func powerCutInSeeding(t *testing.T, b *box, f *figures) {
	b.rows(t, 50_000)
	b.loseReplica(t)
	b.until(t, 10*time.Minute, "{ [ -e "+volume(replica)+"/.ssg-ready ] && ! [ -e "+volume(replica)+"/.ssg-seeded ]; }")
	b.powerCut(t)
	begin := time.Now()
	b.serves(t, 20*time.Minute)
	highest, count := b.inStep(t, 5*time.Minute)
	f.add(t, "power cut while the replica was set up", "in step %s after the box was back, by itself", seconds(time.Since(begin)))
	if highest != 50_000 || count != 50_000 {
		t.Errorf("highest %d, %d rows", highest, count)
	}
}

// powerCutUnderWrites writes one row after the other and notes each that the
// primary acknowledged.
func powerCutUnderWrites(t *testing.T, b *box, f *figures) {
	const first = 100_000
	b.rows(t, 1)
	b.database(t, primary, fmt.Sprintf("DELETE FROM drill WHERE n > %d", first)) // of a run that broke off
	acknowledged := make(chan string, 1)
	script := fmt.Sprintf(kubectl+`exec %s -- sh -c 'i=%d; while :; do i=$((i + 1)); echo "INSERT INTO drill (n) VALUES ($i); SELECT $i;"; done | %s'`, primary, first, mariadb)
	writing, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		out, _ := b.guest.RunRoot(writing, script)
		acknowledged <- string(out)
	}()
	b.until(t, 3*time.Minute, `{ [ "$(`+sqlOne(primary, fmt.Sprintf("SELECT COUNT(*) FROM drill WHERE n > %d", first))+`)" -gt 200 ]; }`)
	begin := time.Now()
	b.powerCut(t)
	// A box without power says nobody goodbye: our end of the connection would
	// wait for ever.
	stop()
	lines := strings.Fields(<-acknowledged)
	if len(lines) == 0 {
		t.Fatal("no write was acknowledged")
	}
	last, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		// The connection may have ended within a number.
		last, err = strconv.Atoi(lines[len(lines)-2])
	}
	if err != nil {
		t.Fatalf("read what was acknowledged: %v", err)
	}
	b.serves(t, 20*time.Minute)
	highest, _ := b.inStep(t, 5*time.Minute)
	f.add(t, "power cut under writes", "%d writes were acknowledged, %d are there, on both; all Ready %s after the cut, by itself", last-first, highest-first, seconds(time.Since(begin)))
	if highest < last {
		t.Errorf("%d acknowledged writes are lost", last-highest)
	}
	if got := b.database(t, primary, fmt.Sprintf("SELECT COUNT(*) FROM drill WHERE n > %d AND n <= %d", first, last)); got != strconv.Itoa(last-first) {
		t.Errorf("%s of %d acknowledged writes are there", got, last-first)
	}
	b.client.must(t, "plan", "--host", hostName, "--exit-code")
}

func replicaLostAfterPurge(t *testing.T, b *box, f *figures) {
	b.database(t, primary, "FLUSH BINARY LOGS;\nINSERT INTO drill (n) VALUES (900000);")
	last := b.database(t, primary, "SHOW MASTER STATUS")
	b.database(t, primary, "PURGE BINARY LOGS TO '"+strings.Fields(last)[0]+"'")
	begin := time.Now()
	b.loseReplica(t)
	b.serves(t, 15*time.Minute)
	highest, count := b.inStep(t, 5*time.Minute)
	f.add(t, "a lost replica after a purge", "%d rows in step again %s later, by itself", count, seconds(time.Since(begin)))
	if highest != 900_000 {
		t.Errorf("highest %d", highest)
	}
}

// wrongInputs asks for what cannot be, while the release serves.
func wrongInputs(t *testing.T, b *box, _ *figures) {
	running := b.containers(t)
	values := func(content string) *client {
		c := b.newClient(t, b.client.bin, b.mirror)
		c.home = b.client.home // the secrets are the same person's
		file := filepath.Join(t.TempDir(), "values.yaml")
		writeFile(t, file, content)
		text, err := os.ReadFile(c.config)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, c.config, strings.Replace(string(text), "release:\n", "release:\n  values: "+file+"\n", 1))
		return c
	}
	deploy := []string{"deploy", "--host", hostName}
	before := b.link.Stats().Up
	values("image: {tag: needs-v2}\n").refused(t, 5, "image-unsuitable", deploy...).says(t, "x86-64-v2")
	if sent := b.link.Stats().Up - before; sent > 200_000 {
		t.Errorf("%d bytes were sent for an image that cannot run", sent)
	}
	values("image: {tag: sha-none}\n").refused(t, 2, "image-unknown", deploy...).says(t, "sha-none")
	values("image: {digest: \"sha256:"+strings.Repeat("0", 64)+"\"}\n").refused(t, 2, "image-unknown", deploy...)
	values("app: {replicas: many}\n").refused(t, 2, "config-invalid", deploy...).says(t, "app")
	down := b.newClient(t, b.client.bin, b.mirror)
	down.home = b.client.home
	text, err := os.ReadFile(down.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, down.config, strings.ReplaceAll(string(text), b.registry, "http://127.0.0.1:1"))
	down.refused(t, 1, "fetch-failed", "images", "import", "--host", hostName, "--image", "ghcr.io/"+appRepository+":"+newTag)

	if now := b.containers(t); now != running {
		t.Errorf("something was restarted:\n%s\nthen\n%s", running, now)
	}

	// A run that is killed in the middle of an upgrade leaves Helm's record at
	// pending-upgrade; the next one goes on from there.
	upgrading := make(chan struct{})
	begun := false
	r := b.client.start(t, func(e event) {
		if e.Step == "release" && e.Kind == "note" && !begun {
			begun = true
			close(upgrading)
		}
	}, "deploy", "--host", hostName, "--image-tag", newTag)
	await(t, r, upgrading, "the upgrade")
	b.until(t, 5*time.Minute, "{ "+kubectl+"get secret -l owner=helm,status=pending-upgrade -o name | grep -q .; }")
	r.kill(t)
	b.client.must(t, "deploy", "--host", hostName, "--image-tag", newTag)
	if got := b.get(t, "/healthz"); got != 200 {
		t.Errorf("/healthz: %d", got)
	}
}

// coldDeploys deploys from an empty namespace, once with the chart as it is and
// once with the probe delays and CPU limits of the seed's.
func coldDeploys(t *testing.T, b *box, f *figures) {
	cold := func(values string) time.Duration {
		b.root(t, "k3s kubectl delete namespace "+namespace+" --wait=false")
		b.client.refused(t, 1, "namespace-terminating", "deploy", "--host", hostName)
		b.until(t, 5*time.Minute, "{ ! k3s kubectl get namespace "+namespace+" >/dev/null 2>&1; }")
		b.configure(t, b.client, b.mirror, "")
		if values != "" {
			text, err := os.ReadFile(b.client.config)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, b.client.config, strings.Replace(string(text), "release:\n", "release:\n  values: "+values+"\n", 1))
		}
		var said struct{ TookSeconds float64 }
		if err := json.Unmarshal(b.client.must(t, "deploy", "--host", hostName).result(t).Data, &said); err != nil || said.TookSeconds == 0 {
			t.Fatalf("deploy: %v", err)
		}
		return time.Duration(said.TookSeconds * float64(time.Second))
	}
	ours := cold("")
	seed, err := filepath.Abs("../../chart/studentsystemgo/ci/seed-timing.yaml")
	if err != nil {
		t.Fatal(err)
	}
	theirs := cold(seed)
	f.add(t, "cold deploy, images present", "%s; with the seed's delays and CPU limits %s: %.1f times", seconds(ours), seconds(theirs), theirs.Seconds()/ours.Seconds())
	if ours >= theirs {
		t.Error("the chart is no faster than the seed's")
	}
}
