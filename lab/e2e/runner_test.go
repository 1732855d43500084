//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/archive"
	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
	"github.com/omkar619-dev/ssg-bootstrap/lab/vm"
)

const (
	runnerUser = "github-runner"
	runnerRoot = "/var/lib/github-runner/runner"
	runnerUnit = "actions.runner.omkar619-dev-studentsystemgo." + hostName + ".service"
	release    = "ssg"
)

// becomeRunner adds to the configuration what makes the box a runner, and serves
// a GitHub until the test ends: to the box at a neighbour's address, to the
// client on loopback.
func (b *box) becomeRunner(t *testing.T) {
	t.Helper()
	var err error
	b.github, err = github.New(github.Options{Mirror: b.lab.Mirror(), State: filepath.Join(b.guest.Dir(), "github.json")})
	if err != nil {
		t.Fatal(err)
	}
	// Debian's archive is at the same address: the box needs a library from it.
	here := archive.Beside(filepath.Join(b.lab.Mirror(), "debian"), b.github)
	neighbour, err := mirror.ListenUnix(filepath.Join(b.guest.Dir(), vm.GitHubSocket), here)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = neighbour.Close() })
	b.sections = fmt.Sprintf("runner:\n  repository: %s\n  server: http://%s\n  api: %s/api/v3\n",
		github.DefaultRepository, strings.TrimSuffix(vm.GitHubAddr, ":80"), serve(t, b.github))
	b.env = []string{"GITHUB_TOKEN=" + b.github.Token(true)}
	b.client.env = append(b.client.env, b.env...)
	b.configure(t, b.client, b.mirror, "")
}

// beNoRunner undoes becomeRunner.
func (b *box) beNoRunner(t *testing.T) {
	t.Helper()
	b.client.must(t, "runner", "remove", "--host", hostName, "--yes")
	b.nothingHappened(t)
	b.client.env = slices.DeleteFunc(b.client.env, func(v string) bool { return slices.Contains(b.env, v) })
	b.sections, b.env = "", nil
	b.configure(t, b.client, b.mirror, "")
}

// theBoxIsARunner is the core of the runner on a box that has everything else;
// what follows goes on without it.
func theBoxIsARunner(t *testing.T, b *box, f *figures) {
	b.becomeRunner(t)
	runnerComesOnline(t, b, f)
	jobsDeploy(t, b, f)
	runnerStays(t, b, f)
	noTokenIsLeft(t, b, f)
	b.beNoRunner(t)
}

// onlyRunner are the arguments that leave k3s and the application alone.
func onlyRunner(verb string) []string {
	return []string{verb, "--host", hostName, "--only", "runner-packages,runner-user,runner-helm,runner-archive,runner-service"}
}

// writes are the requests since the last call that changed something at GitHub.
func (b *box) writes() []string {
	var out []string
	for _, e := range b.github.Log() {
		if e.Number > b.begun && e.Writes() {
			out = append(out, fmt.Sprintf("%s %s: %d", e.Method, e.Path, e.Status))
		}
		b.begun = max(b.begun, e.Number)
	}
	return out
}

// requests counts the requests to a path since the last call of writes.
func (b *box) requests(path string, status int) int {
	n := 0
	for _, e := range b.github.Log() {
		if e.Number > b.begun && strings.HasSuffix(e.Path, path) && e.Status == status {
			n++
		}
	}
	return n
}

// online waits until GitHub sees one runner, and that one online.
func (b *box) online(t *testing.T) github.Runner {
	t.Helper()
	deadline := time.After(6 * time.Minute)
	for {
		runners := b.github.Runners()
		if len(runners) == 1 && runners[0].Status == "online" {
			return runners[0]
		}
		select {
		case <-deadline:
			t.Fatalf("GitHub sees %+v\n%s", runners, b.root(t, "journalctl -q -n 30 -o cat -u "+runnerUnit))
		case <-time.After(time.Second):
		}
	}
}

// process is what changes when the runner is restarted.
func (b *box) process(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(b.root(t, "systemctl show "+runnerUnit+" -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts"))
}

// asRunner runs a script as a job of the runner would: as its user, in the unit's
// view of the file system, with what .path and .env say, in the jobs' folder.
func (b *box) asRunner(t *testing.T, script string) (string, error) {
	t.Helper()
	out, err := b.guest.RunRoot(t.Context(), `set -eu
pid=$(systemctl show -p MainPID --value `+runnerUnit+`)
cd `+runnerRoot+`
exec nsenter -t "$pid" -m -w -- setpriv --reuid=`+runnerUser+` --regid=`+runnerUser+` --init-groups --no-new-privs --bounding-set=-all \
  env -i HOME=/var/lib/github-runner/home PATH="$(cat .path)" $(cat .env) sh -eu -c 'cd _work && exec sh -eu' 2>&1 <<'JOB'
`+script+`
JOB
`)
	return string(out), err
}

// mustAsRunner fails the test unless the script ends well.
func (b *box) mustAsRunner(t *testing.T, script string) string {
	t.Helper()
	out, err := b.asRunner(t, script)
	if err != nil {
		t.Fatalf("as the runner: %v\n%s\n%s", err, script, out)
	}
	return out
}

// TestRunner walks the runner's whole way on a box that has everything else too.
func TestRunner(t *testing.T) {
	b := newBox(t)
	b.becomeRunner(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	inOrder(t, []part[func(*testing.T, *box, *figures)]{
		{"install brings a runner online, and no argument holds a token", runnerComesOnline},
		{"its jobs deploy the application and see nothing else", jobsDeploy},
		{"install again asks little and changes nothing", runnerStays},
		{"no token is where it does not belong", noTokenIsLeft},
		{"a new disk gives the same runner", runnerOnANewDisk},
	}, func(t *testing.T, run func(*testing.T, *box, *figures)) { run(t, b, f) })
}

// argvWatch notes every command line that holds something of the form of one of
// GitHub's tokens, several times a second, until it is stopped. The forms
// are such that the watch does not see itself.
const argvWatch = `cat >/run/argv-watch.sh <<'WATCH'
while :; do
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -aoE -e 'github_pat_[A-Z2-7]{8,}' -e '(^|[^A-Za-z0-9+/=_-])A[A-Z2-7]{28}($|[^A-Za-z0-9+/=_-])' >>/run/argv-seen
  echo >>/run/argv-rounds
  sleep 0.1
done
WATCH
: >/run/argv-seen
: >/run/argv-rounds
systemctl stop argv-watch 2>/dev/null || : # of a run that broke off
systemd-run -q --unit=argv-watch sh /run/argv-watch.sh`

func runnerComesOnline(t *testing.T, b *box, f *figures) {
	b.root(t, argvWatch)
	// It must see a token when there is one.
	b.root(t, "sh -c 'sleep 5; :' sh A"+strings.Repeat("B2", 14)+"\ngrep -q AB2B2 /run/argv-seen\n: >/run/argv-seen")
	r := b.client.must(t, "install", "--host", hostName)
	rounds := strings.Count(b.root(t, "systemctl stop argv-watch; cat /run/argv-rounds"), "\n")
	if seen := b.root(t, "cat /run/argv-seen; rm -f /run/argv-*"); seen != "" {
		t.Errorf("tokens in arguments: %s", seen)
	}
	f.add(t, "all command lines looked at", "%d times during the install", rounds)
	for step, took := range r.steps() {
		if strings.HasPrefix(step, "runner-") {
			f.add(t, "  step "+step, "%s", seconds(took))
		}
	}
	theRunnerIsAsAsked(t, b)
	f.add(t, "memory of the runner's unit", "%s", strings.TrimSpace(b.root(t, "systemctl show -p MemoryCurrent --value "+runnerUnit)))
}

// theRunnerIsAsAsked compares both sides with the configuration.
func theRunnerIsAsAsked(t *testing.T, b *box) {
	t.Helper()
	seen := b.online(t)
	var labels []string
	for _, l := range seen.Labels {
		labels = append(labels, l.Name)
	}
	if want := []string{"self-hosted", "Linux", "X64", hostName}; seen.Name != hostName || !slices.Equal(labels, want) || seen.Version != github.RunnerVersion {
		t.Errorf("GitHub sees %+v, want %s with %v", seen, hostName, want)
	}
	got := b.root(t, `unit=$(cat `+runnerRoot+`/.service)
echo "$unit"
systemctl is-active "$unit" || :
systemctl is-enabled "$unit" || :
systemctl show -p Restart --value "$unit"
systemctl show -p User --value "$unit"
stat -c %a `+runnerRoot+`/.credentials_rsaparams
id -nG `+runnerUser+`
ls /etc/systemd/system | grep -c '^actions.runner.*service$'`)
	want := runnerUnit + "\nactive\nenabled\nalways\n" + runnerUser + "\n600\n" + runnerUser + "\n1\n"
	if got != want {
		t.Errorf("on the box:\n%s\nwant\n%s", got, want)
	}
}

func jobsDeploy(t *testing.T, b *box, f *figures) {
	for what, script := range map[string]string{
		"kube-system's secrets":           "kubectl -n kube-system get secrets",
		"all secrets":                     "kubectl get secrets -A",
		"a pod of its own in kube-system": "kubectl -n kube-system run intruder --image=busybox",
		"the administrator's kubeconfig":  "cat /etc/rancher/k3s/k3s.yaml",
		"k3s's token":                     "cat /var/lib/rancher/k3s/server/token",
		"becoming root":                   "sudo -n true",
		"roles":                           "kubectl -n " + namespace + " create role more --verb='*' --resource=pods/exec",
	} {
		if out, err := b.asRunner(t, script); err == nil {
			t.Errorf("a job may have %s:\n%s", what, out)
		}
	}
	if out := b.mustAsRunner(t, "kubectl -n "+namespace+" get pods -o name; helm version --short"); strings.Count(out, "pod/") < len(applicationPods()) {
		t.Errorf("a job sees %s", out)
	}
	b.bringChart(t)
	// The kubelet has no way to ghcr.io here; only the name is new on the box.
	b.client.must(t, "images", "import", "--host", hostName, "--image", "ghcr.io/"+appRepository+":"+deployedTag)
	revision := func() string {
		return strings.TrimSpace(b.mustAsRunner(t, "helm -n "+namespace+" history "+release+" --max 1 -o json"))
	}
	before, begin := revision(), time.Now()
	printed := b.mustAsRunner(t, b.deployScript(t))
	f.add(t, "the workflow's deploy-k3s as the runner", "%s", seconds(time.Since(begin)))
	t.Logf("the job printed:\n%s", printed)
	if after := revision(); after == before || !strings.Contains(after, `"status":"deployed"`) {
		t.Errorf("the release was %s, is %s", before, after)
	}
	image := b.root(t, "k3s kubectl -n "+namespace+" get deployment "+release+"-studentsystemgo -o jsonpath='{.spec.template.spec.containers[*].image}'")
	if !strings.HasSuffix(strings.TrimSpace(image), "/"+appRepository+":"+deployedTag) {
		t.Errorf("the application runs %s", image)
	}
	if got := b.get(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: %d", got)
	}
	// The installer takes what a job has deployed for its own.
	b.client.must(t, "install", "--host", hostName)
}

// deployedTag is an image whose layers the box has already.
const deployedTag = "sha-0000001"

// deployScript is the shell of the workflow's job, with what GitHub sets for it.
func (b *box) deployScript(t *testing.T) string {
	t.Helper()
	var said struct{ Script string }
	r := b.client.must(t, "workflow", "--host", hostName, "--chart", "./chart/studentsystemgo", "--script", "deploy-k3s")
	must(t, json.Unmarshal(r.result(t).Data, &said))
	if said.Script == "" {
		t.Fatal("the workflow's job has no shell")
	}
	return "export GITHUB_REPOSITORY=" + appRepository + " GITHUB_SHA=0000001000000000000000000000000000000000 GITHUB_RUN_ATTEMPT=1 IMAGE_TAG=" + deployedTag + `
cat >deploy.sh <<'END_OF_DEPLOY'
` + said.Script + `
END_OF_DEPLOY
bash deploy.sh </dev/null`
}

// bringChart puts the chart where a job's checkout would.
func (b *box) bringChart(t *testing.T) {
	t.Helper()
	packed, err := exec.Command("tar", "-C", "../..", "-cf", "-", "chart/studentsystemgo").Output()
	if err != nil {
		t.Fatalf("pack the chart: %v", err)
	}
	if out, err := b.guest.Run(t.Context(), bytes.NewReader(packed), "cat >chart.tar"); err != nil {
		t.Fatalf("bring the chart: %v\n%s", err, out)
	}
	b.root(t, "cd "+runnerRoot+"/_work && rm -rf chart && tar -xf /home/owner/chart.tar --no-same-owner && chown -R "+runnerUser+": chart && rm /home/owner/chart.tar")
}

func runnerStays(t *testing.T, b *box, f *figures) {
	process := b.process(t)
	b.writes()
	before := b.link.Stats()
	r := b.client.must(t, "install", "--host", hostName)
	after := b.link.Stats()
	asked := 0
	for _, e := range b.github.Log() {
		if e.Number > b.begun && strings.HasSuffix(e.Who, " token") {
			asked++
		}
	}
	if writes := b.writes(); len(writes) > 0 {
		t.Errorf("the second run wrote to GitHub: %v", writes)
	}
	if now := b.process(t); now != process {
		t.Errorf("the runner was restarted: %s, then %s", process, now)
	}
	if moved := after.Up + after.Down - before.Up - before.Down; moved >= 100_000 {
		t.Errorf("the second run moved %d bytes, want under 100 kB", moved)
	}
	b.changedNothing(t, r)
	f.add(t, "questions to GitHub in a second run", "%d", asked)
	b.client.must(t, "plan", "--host", hostName, "--exit-code")
}

// changedNothing fails the test if a run says that it changed something.
func (b *box) changedNothing(t *testing.T, r *run) {
	t.Helper()
	var said struct{ Changed []json.RawMessage }
	if err := json.Unmarshal(r.result(t).Data, &said); err != nil || len(said.Changed) > 0 {
		t.Errorf("the run changed %s, %v", said.Changed, err)
	}
}

// noTokenIsLeft looks for every token that GitHub has given out: on the box, but
// for what came with Debian and in images, in its journal, and in everything
// that the client wrote.
func noTokenIsLeft(t *testing.T, b *box, _ *figures) {
	secrets := b.github.Secrets()
	if len(secrets) < 3 {
		t.Fatalf("only %d tokens are known, want those of the owner and of a registration", len(secrets))
	}
	// Grep takes them from its input, so that they are on no command line and in
	// no file of the box.
	patterns := strings.Join(secrets, "\n")
	got := b.root(t, `grep -rlsaF --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev --exclude-dir=usr --exclude-dir=containerd -f - / <<'TOKENS' || :
`+patterns+`
TOKENS
journalctl -q -o cat | grep -aF -f /dev/fd/3 3<<'TOKENS' || :
`+patterns+`
TOKENS`)
	if got != "" {
		t.Errorf("on the box: %s", got)
	}
	err := filepath.WalkDir(b.client.home, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("a token is in %s", path)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func runnerOnANewDisk(t *testing.T, b *box, f *figures) {
	was := b.online(t)
	// The application has its own tests for this; the runner has to come back.
	b.bare = true
	b.newDisk(t)
	begin := time.Now()
	b.client.must(t, "install", "--host", hostName)
	f.add(t, "k3s and the runner on a new disk", "%s", seconds(time.Since(begin)))
	theRunnerIsAsAsked(t, b)
	if now := b.online(t); now.ID != was.ID {
		t.Errorf("GitHub has runner %d in place of %d", now.ID, was.ID)
	}
	if out, err := b.asRunner(t, "kubectl get nodes && kubectl -n "+namespace+" get pods"); err == nil || !strings.Contains(out, "nodes is forbidden") {
		t.Errorf("a job's kubeconfig is not one of the new cluster: %v\n%s", err, out)
	}
	b.mustAsRunner(t, "kubectl -n "+namespace+" get pods")
}

// newDisk replaces the disk, as a reinstallation does; the client starts with an
// empty home as well, but for what the box needs to be let in.
func (b *box) newDisk(t *testing.T) {
	t.Helper()
	if err := b.guest.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.client = b.newClient(t, b.client.bin, b.mirror)
}

// TestRunnerBadLuck does to the runner, on a box that has nothing else, what
// GitHub, the owner and the power company do.
func TestRunnerBadLuck(t *testing.T) {
	b := newBox(t)
	b.bare = true
	b.becomeRunner(t)
	inOrder(t, []part[func(*testing.T, *box)]{
		{"tokens that do not suffice", tokensThatDoNotSuffice},
		{"a public repository", publicRepository},
		{"a hash that does not fit", hashThatDoesNotFit},
		{"GitHub is in trouble for good", gitHubIsAway},
		{"a version that GitHub refuses", versionRefused},
		{"GitHub is in trouble for a while", gitHubIsBusy},
		{"a version that is near its end", versionNearItsEnd},
		{"a runner at work", runnerAtWork},
		{"an update that leaves an empty runsvc.sh", emptyRunsvc},
		{"GitHub has forgotten the runner", forgottenRunner},
		{"the listener ends", listenerEnds},
		{"a power cut", runnerAfterPowerCut},
		{"a clock that is ten minutes off", runnerWithWrongClock},
		{"the disk is replaced", runnerOnAnotherDisk},
		{"the runner is removed", runnerRemoved},
	}, func(t *testing.T, run func(*testing.T, *box)) { run(t, b) })
}

// must turns one of GitHub's switches.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tokensThatDoNotSuffice(t *testing.T, b *box) {
	with := func(token string) *client {
		c := b.newClient(t, b.client.bin, b.mirror)
		c.env = slices.DeleteFunc(slices.Clone(c.env), func(v string) bool { return strings.HasPrefix(v, "GITHUB_TOKEN=") })
		if token != "" {
			c.env = append(c.env, "GITHUB_TOKEN="+token)
		}
		return c
	}
	with("").refused(t, 2, "github-token-missing", onlyRunner("install")...).says(t, "GITHUB_TOKEN", "Administration")
	with("github_pat_WRONG").refused(t, 1, "github-refused", onlyRunner("install")...)
	with(b.github.Token(false)).refused(t, 1, "github-refused", onlyRunner("install")...).says(t, "Administration")
	sections := b.sections
	b.sections = strings.Replace(sections, github.DefaultRepository, "omkar619-dev/nothing-here", 1)
	unknown := b.newClient(t, b.client.bin, b.mirror)
	b.sections = sections
	unknown.refused(t, 1, "github-refused", onlyRunner("install")...).says(t, "omkar619-dev/nothing-here")
	b.nothingHappened(t)
}

// nothingHappened fails the test if a refused run has left a runner.
func (b *box) nothingHappened(t *testing.T) {
	t.Helper()
	if runners := b.github.Runners(); len(runners) > 0 {
		t.Errorf("GitHub knows %+v", runners)
	}
	if got := b.root(t, "ls -d "+runnerRoot+"/.runner /etc/systemd/system/actions.runner.* 2>/dev/null || :"); got != "" {
		t.Errorf("on the box: %s", got)
	}
}

func publicRepository(t *testing.T, b *box) {
	must(t, b.github.Public(true))
	b.client.refused(t, 5, "repository-public", onlyRunner("install")...).says(t, "pull request", "allow-public-repo")
	must(t, b.github.Public(false))
	b.nothingHappened(t)
}

func hashThatDoesNotFit(t *testing.T, b *box) {
	must(t, b.github.CorruptHash(true))
	b.client.refused(t, 1, "digest-mismatch", onlyRunner("install")...).says(t, "actions-runner-linux-x64")
	must(t, b.github.CorruptHash(false))
	b.nothingHappened(t)
}

func gitHubIsAway(t *testing.T, b *box) {
	must(t, b.github.Fail(http.StatusBadGateway, 1000, ""))
	b.client.refused(t, 1, "github-unavailable", onlyRunner("install")...).says(t, "502")
	must(t, b.github.Fail(http.StatusBadGateway, 0, ""))
	b.nothingHappened(t)
}

func versionRefused(t *testing.T, b *box) {
	must(t, b.github.MinVersion("2.999.0"))
	b.client.refused(t, 1, "runner-refused", onlyRunner("install")...).says(t, "deprecated")
	if runners := b.github.Runners(); len(runners) > 0 {
		t.Errorf("GitHub knows %+v", runners)
	}
	must(t, b.github.MinVersion("2.329.0"))
}

// gitHubIsBusy has the first run that succeeds: after it the runner is there.
func gitHubIsBusy(t *testing.T, b *box) {
	b.writes()
	must(t, b.github.Fail(http.StatusTooManyRequests, 2, "downloads"))
	b.client.must(t, append(onlyRunner("install"), "--skip", "runner-service")...)
	if got := b.requests("downloads", http.StatusTooManyRequests); got != 2 {
		t.Errorf("%d requests were turned away, want 2", got)
	}
	must(t, b.github.Fail(http.StatusInternalServerError, 2, "registration-token"))
	b.client.must(t, onlyRunner("install")...)
	theRunnerIsAsAsked(t, b)
}

func versionNearItsEnd(t *testing.T, b *box) {
	must(t, b.github.Deprecate(github.RunnerVersion, "soon"))
	r := b.client.must(t, "runner", "status", "--host", hostName)
	var said struct {
		Unit   string
		Online bool
		Ends   time.Time
	}
	must(t, json.Unmarshal(r.result(t).Data, &said))
	if left := time.Until(said.Ends); said.Unit != runnerUnit || !said.Online || left < 9*24*time.Hour || left > 10*24*time.Hour {
		t.Errorf("runner status: %+v, want an end in ten days", said)
	}
	// Doctor grades what it finds; that it warns is what matters here.
	doctor := b.client.start(t, nil, "doctor", "--host", hostName)
	doctor.wait(t)
	if text := doctor.stdout.String(); !strings.Contains(text, said.Ends.Format(time.DateOnly)) {
		t.Errorf("doctor does not say when the runner's version ends:\n%s", text)
	}
	must(t, b.github.Deprecate(github.RunnerVersion, "ok"))
}

func runnerAtWork(t *testing.T, b *box) {
	must(t, b.github.Busy(hostName, true))
	process := b.process(t)
	sections := b.sections
	b.sections += "  labels: [" + hostName + ", other]\n"
	c := b.newClient(t, b.client.bin, b.mirror)
	b.sections = sections
	c.refused(t, 1, "runner-busy", onlyRunner("install")...).says(t, hostName, "job")
	if now := b.process(t); now != process {
		t.Errorf("the runner was restarted at work: %s, then %s", process, now)
	}
	must(t, b.github.Busy(hostName, false))
	c.must(t, onlyRunner("install")...)
	if seen := b.online(t); len(seen.Labels) != 5 {
		t.Errorf("labels are %+v", seen.Labels)
	}
	b.client.must(t, onlyRunner("install")...)
	theRunnerIsAsAsked(t, b)
}

func emptyRunsvc(t *testing.T, b *box) {
	must(t, b.github.Update(hostName))
	b.awaitOnBox(t, "the update", "[ -e "+runnerRoot+"/runsvc.sh ] && [ ! -s "+runnerRoot+"/runsvc.sh ]")
	b.root(t, "systemctl restart "+runnerUnit)
	b.writes()
	b.client.must(t, onlyRunner("install")...)
	theRunnerIsAsAsked(t, b)
	if writes := b.writes(); len(writes) > 0 {
		t.Errorf("a file of the runner was repaired by registering it anew: %v", writes)
	}
	b.root(t, "cmp "+runnerRoot+"/runsvc.sh "+runnerRoot+"/bin/runsvc.sh")
}

// awaitOnBox waits until a condition holds on the box.
func (b *box) awaitOnBox(t *testing.T, what, condition string) {
	t.Helper()
	b.root(t, "for i in $(seq 240); do if "+condition+"; then exit 0; fi; sleep 0.5; done; echo \"no sign of "+what+" in 2 minutes\"; exit 1")
}

func forgottenRunner(t *testing.T, b *box) {
	was := b.online(t)
	must(t, b.github.Forget(hostName))
	b.client.must(t, onlyRunner("install")...)
	theRunnerIsAsAsked(t, b)
	if now := b.online(t); now.ID == was.ID {
		t.Errorf("runner %d is still the one that was forgotten", now.ID)
	}
}

// listenerEnds has the end that the stock unit would take for final.
func listenerEnds(t *testing.T, b *box) {
	pid := strings.TrimSpace(b.root(t, "systemctl show -p MainPID --value "+runnerUnit))
	must(t, b.github.Exit(hostName, 1))
	b.awaitOnBox(t, "a new process", `[ "$(systemctl show -p MainPID --value `+runnerUnit+`)" != `+pid+` ] && systemctl -q is-active `+runnerUnit)
	b.online(t)
	b.client.must(t, "plan", "--host", hostName, "--exit-code", "--only", "runner-service")
}

func runnerAfterPowerCut(t *testing.T, b *box) {
	must(t, b.guest.PowerCut(t.Context()))
	must(t, b.guest.Await(t.Context()))
	b.writes()
	b.client.must(t, onlyRunner("install")...)
	theRunnerIsAsAsked(t, b)
	if writes := b.writes(); len(writes) > 0 {
		t.Errorf("a runner that came back by itself was registered anew: %v", writes)
	}
}

func runnerWithWrongClock(t *testing.T, b *box) {
	b.root(t, fmt.Sprintf("date -s @%d; systemctl restart %s", time.Now().Add(10*time.Minute).Unix(), runnerUnit))
	b.awaitOnBox(t, "the runner's complaint", "journalctl -q -n 20 -o cat -u "+runnerUnit+" | grep -q 'clock right'")
	b.client.must(t, append(onlyRunner("install")[:4], "clock,runner-service")...)
	theRunnerIsAsAsked(t, b)
}

func runnerOnAnotherDisk(t *testing.T, b *box) {
	was := b.online(t)
	b.newDisk(t)
	b.client.must(t, onlyRunner("install")...)
	theRunnerIsAsAsked(t, b)
	if now := b.online(t); now.ID != was.ID {
		t.Errorf("GitHub has runner %d in place of %d", now.ID, was.ID)
	}
}

func runnerRemoved(t *testing.T, b *box) {
	remove := []string{"runner", "remove", "--host", hostName, "--yes"}
	must(t, b.github.Busy(hostName, true))
	b.client.refused(t, 1, "runner-busy", remove...)
	must(t, b.github.Busy(hostName, false))
	must(t, b.github.Fail(http.StatusBadGateway, 1000, ""))
	b.client.refused(t, 1, "github-unavailable", remove...).says(t, "--leave-at-github")
	must(t, b.github.Fail(http.StatusBadGateway, 0, ""))
	theRunnerIsAsAsked(t, b)
	b.client.must(t, remove...)
	b.nothingHappened(t)
	if got := b.root(t, "getent passwd "+runnerUser+" || :; ls -d /var/lib/github-runner 2>/dev/null || :; pgrep -f Runner.Listener || :"); got != "" {
		t.Errorf("left on the box: %s", got)
	}
	b.client.must(t, remove...) // of what is gone
}
