//go:build e2e

package e2e

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAtRest measures the processor time that k3s, containerd and the pods'
// shims take on a box whose application has nothing to do, with containerd's own
// period for reading every container's usage and with the profile's.
func TestAtRest(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	often := b.atRest(t, ownProfile(t, b.client, "often", "description: containerd's own period.\nextends: core2duo-4gb\nk3s:\n  containerdStatsPeriod: 0s\n"))
	f.add(t, "at rest, containerd's own period", "%s of processor time a minute", seconds(often))
	seldom := b.atRest(t, "core2duo-4gb")
	share := seldom.Seconds() / often.Seconds()
	f.add(t, "at rest, the profile's period", "%s of processor time a minute: %.0f %%", seconds(seldom), share*100)
	if share > 0.95 {
		t.Errorf("the profile's period takes %.0f %% of the processor time of containerd's own: the lever does nothing", share*100)
	}
}

// atRest installs with a profile and returns what k3s.service takes of the
// processors in a minute once the box has settled.
func (b *box) atRest(t *testing.T, profile string) time.Duration {
	t.Helper()
	const minutes = 3
	b.configure(t, b.client, b.mirror, profile)
	b.client.must(t, "install", "--host", hostName)
	pause(t, settle)
	begin := b.k3sUsage(t)
	pause(t, minutes*time.Minute)
	return (b.k3sUsage(t) - begin) / minutes
}

// k3sUsage is the processor time of k3s's cgroup, which has containerd and the
// shims in it and not the pods.
func (b *box) k3sUsage(t *testing.T) time.Duration {
	t.Helper()
	out := strings.TrimSpace(b.root(t, "awk '$1 == \"usage_usec\" {print $2}' /sys/fs/cgroup/system.slice/k3s.service/cpu.stat"))
	n, err := strconv.ParseInt(out, 10, 64)
	if err != nil {
		t.Fatalf("read %q: %v", out, err)
	}
	return time.Duration(n) * time.Microsecond
}
