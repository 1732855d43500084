//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// pss is the proportional memory of k3s and containerd, in kB, with what of it
// was swapped out. Pods and their shims are not in it.
type pss struct{ k3s, containerd, swapped int }

func (p pss) total() int { return p.k3s + p.containerd + p.swapped }

func (p pss) String() string {
	return fmt.Sprintf("%d MB (k3s %d, containerd %d, of both swapped out %d)", p.total()/1000, p.k3s/1000, p.containerd/1000, p.swapped/1000)
}

// pssScript prints one line per process: its name and its Pss and SwapPss.
const pssScript = `
k3s=$(systemctl show k3s -p MainPID --value)
containerd=$(pgrep -P "$k3s" -x containerd)
for p in k3s:$k3s containerd:$containerd; do
  awk -v n="${p%%:*}" '/^Pss:/ {pss = $2} /^SwapPss:/ {swap = $2} END {print n, pss, swap}' "/proc/${p##*:}/smaps_rollup"
done`

func (b *box) pss(t *testing.T) pss {
	t.Helper()
	var p pss
	for line := range strings.Lines(b.root(t, pssScript)) {
		var name string
		var kb, swap int
		if _, err := fmt.Sscan(line, &name, &kb, &swap); err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		if name == "k3s" {
			p.k3s = kb
		} else {
			p.containerd = kb
		}
		p.swapped += swap
	}
	if p.k3s == 0 || p.containerd == 0 {
		t.Fatalf("no memory of k3s or containerd: %+v", p)
	}
	return p
}

// Idle is measured from the same point in each case: settle after a start that
// ended Ready, then the median of samples over a minute.
const (
	settle  = 2 * time.Minute
	samples = 7
	every   = 10 * time.Second
)

// idle installs k3s alone with the profile, starts k3s afresh and returns the memory it
// then takes when nothing is asked of it.
func (b *box) idle(t *testing.T, profile string) pss {
	t.Helper()
	b.bare = true
	b.configure(t, b.client, b.mirror, profile)
	b.client.must(t, "install", "--host", hostName)
	b.root(t, "systemctl restart k3s")
	b.client.must(t, "install", "--host", hostName) // waits for Ready; changes nothing else
	pause(t, settle)
	var seen []pss
	for range samples {
		seen = append(seen, b.pss(t))
		pause(t, every)
	}
	slices.SortFunc(seen, func(a, b pss) int { return a.total() - b.total() })
	return seen[len(seen)/2]
}

// pause lets time pass that is part of what is measured.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// k3sDefaults is the reference with everything taken out that k3s would have
// another default for. The system around k3s stays the same.
const k3sDefaults = `description: What k3s does by itself.
extends: core2duo-4gb
k3s:
  apiServerArgs: null
  controllerManagerArgs: null
  config: null
  kubelet: null
  goMemLimit: ""
  goGC: ""
  containerdGoMemLimit: ""
  containerdGoGC: ""
  containerdStatsPeriod: 0s
`

// TestLevers measures what each of the profile's levers brings by itself, and
// holds all of them together against k3s's defaults.
func TestLevers(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	base := b.idle(t, ownProfile(t, b.client, "defaults", k3sDefaults))
	f.add(t, "idle memory, k3s's defaults", "%s", base)
	levers := []struct{ name, instead string }{
		{"goGC: 50 for k3s and containerd", "  goGC: \"50\"\n  containerdGoGC: \"50\"\n"},
		{"goMemLimit 800MiB, containerd 200MiB", "  goMemLimit: 800MiB\n  containerdGoMemLimit: 200MiB\n"},
		{"egress-selector-mode: disabled", "  config:\n    egress-selector-mode: disabled\n"},
		{"API server: in-flight limits, event-ttl", "  apiServerArgs:\n    max-requests-inflight: 200\n    max-mutating-requests-inflight: 100\n    event-ttl: 30m\n"},
		{"controller manager: fewer workers", "  controllerManagerArgs:\n    concurrent-deployment-syncs: 2\n    concurrent-replicaset-syncs: 2\n    concurrent-statefulset-syncs: 2\n    concurrent-gc-syncs: 5\n"},
	}
	for i, lever := range levers {
		got := b.idle(t, ownProfile(t, b.client, fmt.Sprintf("lever-%d", i), withLever(lever.instead)))
		f.add(t, "idle memory, only "+lever.name, "%s: %+d MB", got, (got.total()-base.total())/1000)
	}
	all := b.idle(t, "core2duo-4gb")
	share := float64(all.total()) / float64(base.total())
	f.add(t, "idle memory, all of core2duo-4gb", "%s: %+d MB, %.0f %% of the defaults'", all, (all.total()-base.total())/1000, share*100)
	if share > 0.9 {
		t.Errorf("the profile takes %.0f %% of what the defaults take: not clearly lower", share*100)
	}
}

// withLever returns the defaults with the lines of one lever in place of the
// nulls for the same keys.
func withLever(lever string) string {
	var out strings.Builder
	for line := range strings.Lines(k3sDefaults) {
		key, _, _ := strings.Cut(line, ":")
		if !strings.Contains("\n"+lever, "\n"+key+":") {
			out.WriteString(line)
		}
	}
	return out.String() + lever
}
