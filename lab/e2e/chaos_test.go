//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The seed of the chaos, its first cut and how many there are: E2E_SEED repeats a
// run, and with E2E_FROM it goes on, or one cut is tried again by itself. What
// happens in a cut follows from the seed and its number alone.
const (
	seedVariable = "E2E_SEED"
	fromVariable = "E2E_FROM"
	cutsVariable = "E2E_CUTS"
	defaultCuts  = 50
)

func numberFrom(t *testing.T, variable string, fallback uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestChaos cuts commands at random moments in random ways while rows are
// written. After each cut one run of the same command must converge, and no row
// that was acknowledged may be gone.
func TestChaos(t *testing.T) {
	seed := numberFrom(t, seedVariable, uint64(time.Now().UnixNano()))
	from, cuts := numberFrom(t, fromVariable, 0), numberFrom(t, cutsVariable, defaultCuts)
	t.Logf("repeat this run with %s=%d %s=%d %s=%d", seedVariable, seed, fromVariable, from, cutsVariable, cuts)
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	b.client.must(t, "install", "--host", hostName)
	b.database(t, primary, "CREATE TABLE chaos (n BIGINT PRIMARY KEY)")
	b.client.must(t, "backup", "--host", hostName)
	c := &chaos{box: b}
	c.write(t)
	begin, done, misses := time.Now(), uint64(0), 0
	t.Cleanup(func() {
		lost := "none lost"
		if t.Failed() {
			lost = "and a failure"
		}
		f.add(t, "random cuts", "%d of %d from %d on with seed %d, %d acknowledged rows, %s; %d commands more were done before their cut; %s", done, cuts, from, seed, len(c.acknowledged()), lost, misses, seconds(time.Since(begin)))
	})
	for n := from; n < from+cuts; n++ {
		c.random = rand.New(rand.NewPCG(seed, n))
		for hit := false; !hit; {
			command, fault := pick(c.random, c.commands()), pick(c.random, c.faults())
			after := time.Duration(c.random.Int64N(int64(command.within)))
			name := fmt.Sprintf("%02d %s, %s after %s", n, command.name, fault.name, after.Round(time.Second))
			if !t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) { hit = c.once(t, command, fault.do, after) }) {
				t.Fatalf("%s: again with %s=%d %s=%d %s=1", name, seedVariable, seed, fromVariable, n, cutsVariable)
			}
			if !hit {
				misses++
			}
		}
		done++
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

type chaosCommand struct {
	name string
	args []string
	// within is when it is cut at the latest: about as long as it takes on the
	// emulated box. One that is done before its cut counts for nothing.
	within time.Duration
	// ruin is a script that gives the command something to do, or nothing.
	ruin string
	// back says that what was written since the newest backup goes.
	back bool
}

type chaosFault struct {
	name string
	// do does it and returns what puts it right, as far as an owner would: a
	// cable comes back, a box restarts, somebody deletes a large file.
	do func(t *testing.T, r *run)
}

// chaos is a box that is written to and maltreated.
type chaos struct {
	*box
	random *rand.Rand

	mu      sync.Mutex
	next    int64
	written []int64
	paused  bool
}

func (c *chaos) commands() []chaosCommand {
	host := []string{"--host", hostName}
	return []chaosCommand{
		{name: "install", args: append([]string{"install"}, host...), within: 90 * time.Second, ruin: deadBox},
		{name: "upgrade", args: append([]string{"install", "--profile", c.otherProfile()}, host...), within: 50 * time.Second},
		{name: "rotate mysql", args: append([]string{"rotate", "mysql"}, host...), within: 80 * time.Second},
		{name: "rotate rabbitmq", args: append([]string{"rotate", "rabbitmq"}, host...), within: 100 * time.Second},
		{name: "backup", args: append([]string{"backup"}, host...), within: 50 * time.Second},
		{name: "restore", args: append([]string{"restore", "--only", "mysql", "--yes"}, host...), within: 80 * time.Second, back: true},
	}
}

// deadBox leaves a box whose k3s does not start again: its program is gone, its
// unit and its configuration are another's. The data stay.
const deadBox = `systemctl stop k3s
rm -f /usr/local/bin/k3s
echo 'write-kubeconfig-mode: "0644"' >/etc/rancher/k3s/config.yaml
sed -i 's/^ExecStart=.*/ExecStart=\/bin\/false/' /etc/systemd/system/k3s.service
systemctl daemon-reload`

// otherProfile is the reference with a flag that changes each time, so that k3s
// is restarted.
func (c *chaos) otherProfile() string {
	path := c.client.home + "/chaos.yaml"
	text := fmt.Sprintf("name: chaos\ndescription: The reference with a flag that changes.\nextends: core2duo-4gb\nk3s:\n  apiServerArgs:\n    event-ttl: %dm\n", 10+c.random.IntN(50))
	// A write that fails shows as a command that fails.
	_ = os.WriteFile(path, []byte(text), 0o600)
	return path
}

func (c *chaos) faults() []chaosFault {
	return []chaosFault{
		{"link cut", func(t *testing.T, r *run) {
			c.link.Cut()
			time.AfterFunc(8*time.Second, c.link.Restore)
			<-r.done
		}},
		{"client killed", func(_ *testing.T, r *run) { r.end() }},
		{"power cut", func(t *testing.T, r *run) {
			c.powerCut(t)
			r.end()
		}},
		{"disk full", func(t *testing.T, r *run) {
			c.root(t, `free=$(df -k --output=avail /var/lib | tail -n 1); fallocate -l "$((free - 2048))K" /var/lib/ballast`)
			select {
			case <-r.done:
			case <-time.After(30 * time.Second):
				r.end()
			}
			c.root(t, "rm -f /var/lib/ballast")
		}},
		{"container killed", func(t *testing.T, r *run) {
			// Which one is the seed's to say.
			c.root(t, fmt.Sprintf(`set -- $(k3s crictl ps -q | sort); [ $# -gt 0 ] || exit 0; shift $((%d %% $#)); k3s crictl stop -t 0 "$1" || true`, c.random.IntN(1000)))
			<-r.done
		}},
	}
}

// end kills the client, unless it has just come to its end by itself.
func (r *run) end() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// powerCut switches off and on.
func (c *chaos) powerCut(t *testing.T) {
	t.Helper()
	if err := c.guest.PowerCut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.guest.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// once runs a command, cuts it, runs it again to its end, and looks at the rows.
// It tells whether the command was still under way when it was cut.
func (c *chaos) once(t *testing.T, command chaosCommand, fault func(*testing.T, *run), after time.Duration) (hit bool) {
	c.hold(command.back)
	defer c.hold(false)
	var kept []int64
	if command.back {
		// Nothing that was acknowledged before this backup may go.
		c.client.must(t, "backup", "--host", hostName)
		kept = c.acknowledged()
	}
	if command.ruin != "" {
		c.root(t, command.ruin)
	}
	r := c.client.start(t, nil, command.args...)
	select {
	case <-r.done:
	case <-time.After(after):
		hit = true
		fault(t, r)
	}
	c.client.must(t, command.args...)
	if !command.back {
		kept = c.acknowledged()
	}
	c.serves(t, 15*time.Minute)
	there := map[string]bool{}
	for _, n := range strings.Fields(c.database(t, primary, "SELECT n FROM chaos")) {
		there[n] = true
	}
	for _, n := range kept {
		if !there[strconv.FormatInt(n, 10)] {
			t.Fatalf("row %d was acknowledged and is gone", n)
		}
	}
	return hit
}

// write writes rows until the test ends, one after the other, and remembers
// those that were acknowledged.
func (c *chaos) write(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			c.writeOne(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	t.Cleanup(func() { stop(); done.Wait() })
}

func (c *chaos) writeOne(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused {
		return
	}
	c.next++
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := c.guest.RunRoot(ctx, sqlIn(primary, fmt.Sprintf("INSERT INTO chaos VALUES (%d)", c.next))); err == nil {
		c.written = append(c.written, c.next)
	}
}

// hold keeps the writer still; it waits for the row that is on its way.
func (c *chaos) hold(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = yes
}

func (c *chaos) acknowledged() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int64{}, c.written...)
}

// TestLargeBackup backs up 2 GB of rows and then again after one in a hundred
// has changed, and looks at the memory of both ends.
func TestLargeBackup(t *testing.T) {
	b := newBox(t)
	f := &figures{}
	t.Cleanup(func() { f.print(t) })
	d := &drill{box: b}
	b.client.must(t, "install", "--host", hostName)
	b.database(t, primary, "CREATE TABLE large (id INT PRIMARY KEY, v INT, a VARCHAR(1100))")
	const rows, batch = 1_960_000, 20_000
	for from := 0; from < rows; from += batch {
		b.database(t, primary, fmt.Sprintf("INSERT INTO large SELECT seq, 0, concat(%s) FROM seq_%d_to_%d", strings.Repeat("sha2(seq*7+rand(), 512),", 8)+"''", from+1, from+batch))
	}
	d.measureBoth(t, f)
	first, peak := d.measured(t)
	if first.Bytes < 2e9 {
		t.Fatalf("there are only %s of data", megabytes(first.Bytes))
	}
	f.add(t, "backup of a large database", "%s of data, %s over the link; peak memory %s here, %s on the box", megabytes(first.Bytes), megabytes(first.BytesGot), megabytes(peak.here), megabytes(peak.there))
	b.database(t, primary, "UPDATE large SET v = v + 1 WHERE id % 100 = 0")
	second, again := d.measured(t)
	f.add(t, "second backup after 1 % of the rows changed", "%s over the link, %.1f %% of the first", megabytes(second.BytesGot), 100*float64(second.BytesGot)/float64(first.BytesGot))
	for _, p := range []peaks{peak, again} {
		if p.here >= 150e6 || p.there >= 150e6 {
			t.Errorf("memory: %s here, %s on the box; want under 150 MB", megabytes(p.here), megabytes(p.there))
		}
	}
	if second.BytesGot*10 >= first.BytesGot {
		t.Errorf("the second backup moved %s after %s", megabytes(second.BytesGot), megabytes(first.BytesGot))
	}
}

type peaks struct{ here, there int64 }

// memoryThere adds up what the programs of a backup keep for themselves: those of
// its unit, those that answer on SSH, and the dump in the database's pod. Pages
// of files are not counted: the kernel takes them back when it likes, and the
// programs share them.
const memoryThere = `{ cat /sys/fs/cgroup/system.slice/ssg-bootstrap-backup.service/cgroup.procs 2>/dev/null
pgrep -f 'pieces[.]pl|zstd -q -9|mariadb-dump'; } | sort -u | while read -r pid; do
  awk '$1 == "RssAnon:" { print $2 }' "/proc/$pid/status" 2>/dev/null
done | awk '{ n += $1 } END { print n + 0 }'`

// measured takes a backup and samples the memory of its programs on the box.
func (d *drill) measured(t *testing.T) (backupData, peaks) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	most := make(chan int64, 1)
	go func() {
		var high int64
		for ctx.Err() == nil {
			out, err := d.guest.RunRoot(ctx, memoryThere)
			if n, parseErr := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64); err == nil && parseErr == nil {
				high = max(high, n*1024)
			}
			// Each look is a login, which costs this CPU a second.
			select {
			case <-ctx.Done():
			case <-time.After(3 * time.Second):
			}
		}
		most <- high
	}()
	data, r := d.backup(t)
	stop()
	there := <-most
	if there == 0 {
		t.Error("nobody saw the backup's programs on the box")
	}
	return data, peaks{r.peakMemory(t), there}
}
