//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const namespace = "studentsystemgo"

// applicationPods are the six of an ordinary release, by component.
func applicationPods() []string {
	return []string{"app", "mysql-primary", "mysql-replica", "rabbitmq", "redis", "worker"}
}

// pod is the part of a pod that the tests look at.
type pod struct {
	Metadata struct {
		Name, UID string
		Labels    map[string]string
	}
	Status struct {
		ContainerStatuses []struct {
			Ready        bool
			RestartCount int
			ContainerID  string
		}
	}
}

func (b *box) pods(t *testing.T) map[string]pod {
	t.Helper()
	var list struct{ Items []pod }
	if err := json.Unmarshal([]byte(b.root(t, "k3s kubectl -n "+namespace+" get pods -o json")), &list); err != nil {
		t.Fatal(err)
	}
	pods := map[string]pod{}
	for _, p := range list.Items {
		if c := p.Metadata.Labels["app.kubernetes.io/component"]; slices.Contains(applicationPods(), c) {
			pods[c] = p
		}
	}
	return pods
}

// containers names every running container of the application: one that was
// restarted or replaced has another ID.
func (b *box) containers(t *testing.T) string {
	t.Helper()
	var lines []string
	for component, p := range b.pods(t) {
		for _, c := range p.Status.ContainerStatuses {
			lines = append(lines, fmt.Sprintf("%s %t %s", component, c.Ready, c.ContainerID))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// get asks the ingress as a neighbour on the box's LAN would.
func (b *box) get(t *testing.T, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", b.guest.State().Ports.HTTP, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = strings.TrimSpace(b.root(t, "k3s kubectl -n "+namespace+" get ingress -o jsonpath='{.items[0].spec.rules[0].host}'"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func theApplicationServes(t *testing.T, b *box, f *figures) {
	pods := b.pods(t)
	for _, component := range applicationPods() {
		p, there := pods[component]
		if !there || len(p.Status.ContainerStatuses) != 1 || !p.Status.ContainerStatuses[0].Ready {
			t.Errorf("%s is not Ready: %+v", component, p.Status)
			continue
		}
		if n := p.Status.ContainerStatuses[0].RestartCount; n > 0 {
			f.add(t, "restarts of "+component, "%d", n)
		}
	}
	if got := b.get(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: %d", got)
	}
	if got := b.get(t, "/metrics"); got == http.StatusOK {
		t.Error("/metrics is public")
	}
}

// memoryOfAll prints the working set of k3s and of the six pods, as the kubelet
// reckons it: what a cgroup holds less the page cache that nobody used lately.
func memoryOfAll(t *testing.T, b *box, f *figures) {
	pause(t, settle)
	groups := []string{"k3s=/sys/fs/cgroup/system.slice/k3s.service"}
	for component, p := range b.pods(t) {
		groups = append(groups, fmt.Sprintf("%s=$(find /sys/fs/cgroup/kubepods* -type d -name '*pod%s*' | head -n 1)", component, strings.ReplaceAll(p.Metadata.UID, "-", "?")))
	}
	slices.Sort(groups)
	out := b.root(t, "for g in "+quoted(groups)+`; do
  dir=${g#*=}
  awk -v name="${g%%=*}" 'FILENAME ~ /current$/ {all = $1} $1 == "inactive_file" {cache = $2} END {print name, all - cache}' "$dir/memory.current" "$dir/memory.stat"
done`)
	total := 0
	for line := range strings.Lines(out) {
		var what string
		var bytes int
		if _, err := fmt.Sscan(line, &what, &bytes); err != nil || bytes <= 0 {
			t.Fatalf("read %q: %v", line, err)
		}
		f.add(t, "  memory of "+what, "%s", megabytes(int64(bytes)))
		total += bytes
	}
	f.add(t, "idle memory of k3s and the six pods", "%s (goal: under 1200 MB; documented: about 1500)", megabytes(int64(total)))
	if total >= 1_200_000_000 {
		t.Errorf("k3s and the six pods take %s, want under 1200 MB", megabytes(int64(total)))
	}
}

// quoted puts words in double quotes, so that the shell expands what is in them.
func quoted(words []string) string { return `"` + strings.Join(words, `" "`) + `"` }

const (
	appRepository = "omkar619-dev/studentsystemgo"
	newTag        = "sha-0000002"
	// restOfDelta is what may travel besides the layer: manifest, configuration
	// and all talk.
	restOfDelta = 50_000
)

// layers returns the compressed sizes of an image's layers, the first at the
// bottom.
func (b *box) layers(t *testing.T, repository, tag string) []int64 {
	t.Helper()
	ref, err := name.ParseReference(strings.TrimPrefix(b.registry, "http://")+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64
	for _, l := range manifest.Layers {
		sizes = append(sizes, l.Size)
	}
	return sizes
}

// onlyTheLastLayerTravels brings an image whose last layer alone is new.
func onlyTheLastLayerTravels(t *testing.T, b *box, f *figures) {
	layers := b.layers(t, appRepository, newTag)
	last := layers[len(layers)-1]
	whole := int64(0)
	for _, size := range layers {
		whole += size
	}
	before := b.link.Stats().Up
	begin := time.Now()
	b.client.must(t, "images", "import", "--host", hostName, "--image", "ghcr.io/"+appRepository+":"+newTag)
	sent := b.link.Stats().Up - before
	f.add(t, "a new app image, last layer changed", "%.2f MB sent for a layer of %.2f MB (%.3f times) in %s; docker save would send at least its layers, %.2f MB",
		float64(sent)/1e6, float64(last)/1e6, float64(sent)/float64(last), seconds(time.Since(begin)), float64(whole)/1e6)
	if limit := last*105/100 + restOfDelta; sent > limit {
		t.Errorf("%d bytes were sent, want at most %d", sent, limit)
	}
	running := b.containers(t)
	r := b.client.must(t, "deploy", "--host", hostName, "--image-tag", newTag)
	f.add(t, "deploy of it", "%s", seconds(r.took))
	now := b.containers(t)
	for _, component := range []string{"mysql-primary", "mysql-replica", "rabbitmq", "redis"} {
		if line := lineOf(running, component); line != lineOf(now, component) {
			t.Errorf("a new app image touched %s: %q, then %q", component, line, lineOf(now, component))
		}
	}
	if got := b.get(t, "/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: %d", got)
	}
	// What follows is about k3s alone; the application stays as it is.
	b.bare = true
	b.configure(t, b.client, b.mirror, "")
}

func lineOf(text, word string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, word+" ") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
