package profiles

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
)

const (
	namePattern     = `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	versionPattern  = `^(v[0-9]+\.[0-9]+\.[0-9]+(-[a-z]+[0-9]*)?\+k3s[0-9]+|stable|latest|testing|v[0-9]+\.[0-9]+)$`
	goMemPattern    = `^[1-9][0-9]*(B|KiB|MiB|GiB)$`
	goGCPattern     = `^([1-9][0-9]*|off)$`
	sysctlPattern   = `^[a-z0-9_-]+([./][A-Za-z0-9_-]+)+$`
	journaldPattern = `^[A-Z][A-Za-z]+$`
	flagPattern     = `^[a-z][a-z0-9-]*$`
	fieldPattern    = `^[a-z][A-Za-z0-9]*$`
)

// checker looks at a whole profile; what a file inherited was checked with the
// file that says it, but combinations are checked again.
type checker struct {
	p   Profile
	doc *strict.Document
}

func check(p Profile, doc *strict.Document) {
	c := checker{p, doc}
	c.names()
	c.k3s()
	c.tailnet()
	c.runner()
	c.system()
	c.waits()
	c.documented()
	c.combinations()
}

func (c checker) refuse(path []string, format string, args ...any) {
	c.doc.Refuse(path, format, args...)
}

func at(path ...string) []string { return path }

// matches refuses a text that is not empty and not of the pattern.
func (c checker) matches(path []string, text, pattern, hint string) {
	if text != "" && !regexp.MustCompile(pattern).MatchString(text) {
		c.refuse(path, "%q is not %s", text, hint)
	}
}

func (c checker) names() {
	if !c.doc.Says("name") {
		c.refuse(nil, "the profile has no name")
	}
	c.matches(at("name"), c.p.Name, namePattern, "a name of lower-case letters, digits and hyphens")
	if f := c.p.For; f.MaxMemory != 0 && f.MinMemory >= f.MaxMemory {
		c.refuse(at("for", "maxMemory"), "no box has at least %s and less than %s", f.MinMemory, f.MaxMemory)
	}
}

func (c checker) k3s() {
	k := c.p.K3s
	if k.Version == "" {
		c.refuse(at("k3s"), "k3s.version is missing")
	}
	c.matches(at("k3s", "version"), k.Version, versionPattern, "a k3s release like v1.36.4+k3s1 or a channel like stable")
	for _, m := range []struct{ key, text, pattern, hint string }{
		{"goMemLimit", k.GoMemLimit, goMemPattern, "a limit like 800MiB"},
		{"containerdGoMemLimit", k.ContainerdGoMemLimit, goMemPattern, "a limit like 200MiB"},
		{"goGC", k.GoGC, goGCPattern, "a percentage like 50, or off"},
		{"containerdGoGC", k.ContainerdGoGC, goGCPattern, "a percentage like 50, or off"},
	} {
		c.matches(at("k3s", m.key), m.text, m.pattern, m.hint)
	}
	c.disabled()
	for key, args := range map[string]map[string]string{
		"apiServerArgs": k.APIServerArgs, "controllerManagerArgs": k.ControllerManagerArgs,
		"schedulerArgs": k.SchedulerArgs, "kubeProxyArgs": k.KubeProxyArgs,
	} {
		c.texts(at("k3s", key), args, flagPattern, "a flag's name without dashes in front")
		for flag := range args {
			if why := refusedFlags()[key+"."+flag]; why != "" {
				c.refuse(at("k3s", key, flag), "%s is refused: %s", flag, why)
			}
		}
	}
	c.runtimeConfig()
	c.config()
	c.kubelet()
}

func (c checker) disabled() {
	for i, name := range c.p.K3s.Disable {
		if why := neededComponents()[name]; why != "" {
			c.refuse(at("k3s", "disable", index(i)), "%s cannot be left out: %s", name, why)
		} else if name != "runtimes" {
			c.refuse(at("k3s", "disable", index(i)), "k3s has no component %q that can be left out", name)
		}
	}
}

func (c checker) runtimeConfig() {
	const flag = "runtime-config"
	if strings.Contains(c.p.K3s.APIServerArgs[flag], "=false") {
		c.refuse(at("k3s", "apiServerArgs", flag), "%s is refused: switching an API off breaks what k3s's own components expect", flag)
	}
}

func (c checker) config() {
	for _, key := range slices.Sorted(maps.Keys(c.p.K3s.Config)) {
		path := at("k3s", "config", key)
		c.matches(path, strings.TrimSuffix(key, "+"), flagPattern, "a key of k3s's config.yaml")
		if why := refusedConfig(strings.TrimSuffix(key, "+"), c.p.K3s.Config[key]); why != "" {
			c.refuse(path, "%s is refused: %s", key, why)
		}
	}
}

func (c checker) kubelet() {
	k := c.p.K3s.Kubelet
	for _, field := range slices.Sorted(maps.Keys(k)) {
		path := at("k3s", "kubelet", field)
		c.matches(path, field, fieldPattern, "a field of KubeletConfiguration")
		if slices.Contains(ownedKubeletFields(), field) {
			c.refuse(path, "%s is refused: k3s sets it to fit the rest of the cluster", field)
		}
	}
	// The system's own pods are about eight, the application's six, and a
	// rollout doubles some of them.
	if n, said := k["maxPods"].(int64); said && n < 20 {
		c.refuse(at("k3s", "kubelet", "maxPods"), "%d pods are too few for the system and the application; at least 20", n)
	}
	if n, said := k["containerLogMaxFiles"].(int64); said && n < 2 {
		c.refuse(at("k3s", "kubelet", "containerLogMaxFiles"), "the kubelet keeps at least 2 files")
	}
	if on, _ := k["protectKernelDefaults"].(bool); on {
		for name, want := range kubeletSysctls() {
			if got := c.p.System.Sysctls[name]; got != want {
				c.refuse(at("k3s", "kubelet", "protectKernelDefaults"), "the kubelet then starts only with system.sysctls %s: %s", name, want)
			}
		}
	}
}

// Below this tailscaled was seen to spend its time in garbage collection.
const leastForTailscaled = 64 << 20

func (c checker) tailnet() {
	t := c.p.Tailnet
	c.matches(at("tailnet", "goMemLimit"), t.GoMemLimit, goMemPattern, "a limit like 60MiB")
	for key, limit := range map[string]ByteSize{"memoryHigh": t.MemoryHigh, "memoryMax": t.MemoryMax} {
		if limit != 0 && limit < leastForTailscaled {
			c.refuse(at("tailnet", key), "%s is too little for tailscaled under load; at least %s", limit, ByteSize(leastForTailscaled))
		}
	}
	if t.MemoryMax != 0 && t.MemoryHigh > t.MemoryMax {
		c.refuse(at("tailnet", "memoryHigh"), "memoryHigh (%s) is above memoryMax (%s)", t.MemoryHigh, t.MemoryMax)
	}
	if high := t.MemoryHigh; high != 0 && goLimit(t.GoMemLimit) > high {
		c.refuse(at("tailnet", "goMemLimit"), "goMemLimit (%s) is above memoryHigh (%s): it would never be reached", t.GoMemLimit, high)
	}
}

// An idle runner takes about 100 MB, one at work runs a second process of that
// size beside the job's own.
const leastForRunner = 256 << 20

func (c checker) runner() {
	r := c.p.Runner
	for key, limit := range map[string]ByteSize{"memoryHigh": r.MemoryHigh, "memoryMax": r.MemoryMax} {
		if limit != 0 && limit < leastForRunner {
			c.refuse(at("runner", key), "%s is too little for a runner and its job; at least %s", limit, ByteSize(leastForRunner))
		}
	}
	if r.MemoryMax != 0 && r.MemoryHigh > r.MemoryMax {
		c.refuse(at("runner", "memoryHigh"), "memoryHigh (%s) is above memoryMax (%s)", r.MemoryHigh, r.MemoryMax)
	}
}

func (c checker) system() {
	s := c.p.System
	if s.Zram.Percent < 0 || s.Zram.Percent > 200 {
		c.refuse(at("system", "zram", "percent"), "%d is not between 0 and 200 percent of RAM", s.Zram.Percent)
	}
	if known := []string{"lz4", "lzo-rle", "lzo", "zstd"}; s.Zram.Algorithm != "" && !slices.Contains(known, s.Zram.Algorithm) {
		c.refuse(at("system", "zram", "algorithm"), "%q is not one of %s", s.Zram.Algorithm, strings.Join(known, ", "))
	}
	if s.Zram.Priority < -1 || s.Zram.Priority > 32767 {
		c.refuse(at("system", "zram", "priority"), "%d is not between -1 and 32767", s.Zram.Priority)
	}
	c.texts(at("system", "sysctls"), s.Sysctls, sysctlPattern, "a kernel parameter like vm.swappiness")
	c.texts(at("system", "journald"), s.Journald, journaldPattern, "a key of journald.conf like SystemMaxUse")
}

// texts checks keys against a pattern and values for what would break the line
// of the file that they are written to.
func (c checker) texts(path []string, texts map[string]string, pattern, hint string) {
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		here := append(slices.Clone(path), key)
		c.matches(here, key, pattern, hint)
		if strings.ContainsFunc(texts[key], unicode.IsControl) {
			c.refuse(here, "the value has a line break or another control character")
		}
	}
}

func (c checker) waits() {
	if c.p.Requires.Cores < 0 {
		c.refuse(at("requires", "cores"), "%d is not a number of cores", c.p.Requires.Cores)
	}
	w := c.p.Waits
	for _, wait := range []struct {
		key   string
		value Duration
	}{
		{"k3sStall", w.K3sStall}, {"k3sTypical", w.K3sTypical},
		{"nodeStall", w.NodeStall}, {"nodeTypical", w.NodeTypical},
		{"podsStall", w.PodsStall}, {"podsTypical", w.PodsTypical},
		{"importStall", w.ImportStall}, {"jobStall", w.JobStall},
	} {
		if wait.value == 0 {
			c.refuse(at("waits", wait.key), "waits.%s is missing; a wait without it would end at once", wait.key)
		}
	}
}

func (c checker) documented() {
	seen := make(map[string]bool)
	for i, d := range c.p.Documented {
		path := at("documented", index(i))
		c.matches(append(path, "metric"), d.Metric, namePattern, "a name of lower-case letters, digits and hyphens")
		if d.Metric == "" || d.Source == "" || d.Value <= 0 {
			c.refuse(path, "a documented figure has a metric, a value above 0, a unit and a source")
		}
		if units := []string{"s", "GiB", "GB", "Mbit/s"}; !slices.Contains(units, d.Unit) {
			c.refuse(append(path, "unit"), "%q is not one of %s", d.Unit, strings.Join(units, ", "))
		}
		if d.Bound != "" && d.Bound != "about" && d.Bound != "below" {
			c.refuse(append(path, "bound"), "%q is neither about nor below", d.Bound)
		}
		if seen[d.Metric] {
			c.refuse(path, "%s is documented twice", d.Metric)
		}
		seen[d.Metric] = true
	}
}
