package profiles

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func load(t *testing.T, name string) Profile {
	t.Helper()
	p, err := Load(name)
	if err != nil {
		t.Fatalf("%v\n%s", err, fault.EvidenceOf(err))
	}
	return p
}

func TestEveryBuiltInProfileLoadsUnderItsFilesName(t *testing.T) {
	if len(List()) != len(Names()) || !slices.Contains(Names(), "core2duo-4gb") {
		t.Fatal(Names())
	}
	for _, s := range List() {
		if p := load(t, s.Name); p.Name != s.Name || s.Description == "" || s.For == (For{}) {
			t.Errorf("%+v", s)
		}
	}
}

// The levers that break Traefik, autoscaling, network policies or volumes are
// refused whoever pulls them; each of these is one line in an otherwise good
// profile.
func TestLeversThatBreakTheApplicationAreRefused(t *testing.T) {
	for _, lever := range []string{
		"disable: [traefik]", "disable: [servicelb]", "disable: [metrics-server]", "disable: [local-storage]", "disable: [coredns]",
		"config: {disable-network-policy: true}", "config: {disable-helm-controller: true}",
		"config: {disable-cloud-controller: true}", "config: {disable-kube-proxy: true}", "config: {disable-scheduler: true}",
		"config: {disable: [traefik]}", "config: {disable+: [metrics-server]}", "config: {flannel-backend: none}",
		"config: {kube-apiserver-arg: [watch-cache=false]}", "config: {bind-address: 127.0.0.1}",
		"apiServerArgs: {watch-cache: false}", "apiServerArgs: {runtime-config: autoscaling/v2=false}",
		`controllerManagerArgs: {controllers: "*,-persistentvolume-binder-controller"}`,
	} {
		_, err := Parse("x.yaml", []byte("name: x\nextends: core2duo-4gb\nk3s:\n  "+lever+"\n"))
		if fault.CodeOf(err) != fault.ConfigInvalid || !strings.HasPrefix(fault.EvidenceOf(err), "x.yaml:4:") {
			t.Errorf("%s: %v %s", lever, err, fault.EvidenceOf(err))
		}
	}
}

func TestTheReferenceLimitsMemoryWhereK3sDoesNot(t *testing.T) {
	p := load(t, "core2duo-4gb")
	eviction, _ := p.K3s.Kubelet["evictionHard"].(map[string]any)
	if eviction["memory.available"] == nil || p.K3s.Kubelet["serializeImagePulls"] != true {
		t.Errorf("kubelet %v", p.K3s.Kubelet)
	}
	if p.K3s.GoMemLimit == "" || p.K3s.ContainerdGoMemLimit == "" || p.System.Zram.Percent == 0 {
		t.Errorf("limits %+v, zram %+v", p.K3s, p.System.Zram)
	}
	for name, want := range kubeletSysctls() {
		if p.System.Sysctls[name] != want {
			t.Errorf("%s is %q, the kubelet wants %q", name, p.System.Sysctls[name], want)
		}
	}
	if len(p.Documented) != 10 {
		t.Errorf("%d documented figures, the document has 10", len(p.Documented))
	}
}

func TestExtendsMergesMapsAndReplacesTheRest(t *testing.T) {
	base, p := load(t, "core2duo-4gb"), load(t, "minipc-8gb")
	if p.K3s.Version != base.K3s.Version || p.K3s.Config["egress-selector-mode"] != "disabled" {
		t.Errorf("not inherited: %+v", p.K3s)
	}
	eviction := p.K3s.Kubelet["evictionHard"].(map[string]any)
	if eviction["memory.available"] != "300Mi" || eviction["nodefs.available"] != "5%" {
		t.Errorf("not merged: %v", eviction)
	}
	if _, there := p.System.Sysctls["vm.dirty_bytes"]; there || len(p.K3s.APIServerArgs) != 0 {
		t.Errorf("not taken out: %v %v", p.System.Sysctls, p.K3s.APIServerArgs)
	}
	if p.For.MaxMemory != 0 || len(p.Documented) != 0 || p.K3s.Kubelet["maxPods"] != int64(110) {
		t.Errorf("not replaced: %+v %v", p.For, p.Documented)
	}
	if again := load(t, "core2duo-4gb"); !maps.Equal(again.System.Sysctls, base.System.Sysctls) {
		t.Error("loading one profile changed another")
	}
}

func TestAProfileOfTheUserExtendsAnotherByPath(t *testing.T) {
	dir := t.TempDir()
	write := func(file, text string) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// A file called like a built-in profile is not a circle.
	write("core2duo-4gb.yaml", "name: core2duo-4gb\nextends: core2duo-4gb\nwaits: {jobStall: 1h30m}\n")
	p := load(t, write("mine.yaml", "name: mine\nextends: ./core2duo-4gb.yaml\nk3s: {version: stable}\n"))
	if p.Name != "mine" || p.K3s.Version != "stable" || p.Waits.JobStall.Std() != 90*time.Minute || p.System.Zram.Percent != 50 {
		t.Errorf("%+v", p)
	}

	// A null takes a whole map out; a section of comments says nothing.
	p = load(t, write("bare.yaml", "name: bare\nextends: core2duo-4gb\nk3s:\n  apiServerArgs: null\n  goGC: \"\"\n  config:\n    # nothing\n"))
	if len(p.K3s.APIServerArgs) != 0 || p.K3s.GoGC != "" || len(p.K3s.Config) == 0 || len(p.K3s.ControllerManagerArgs) == 0 {
		t.Errorf("%+v", p.K3s)
	}
}

func TestUnitsReadWhatTheyWrite(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0B": 0, "1B": 1, "512MiB": 512 << 20, "4GiB": 4 << 30, "20GB": 20e9, "1500kB": 1500e3,
	} {
		var b ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: %d, %v", text, b, err)
		}
		var back ByteSize
		if err := back.UnmarshalText([]byte(b.String())); err != nil || back != b {
			t.Errorf("%s is written as %s and read as %d, %v", text, b, back, err)
		}
	}
	for _, text := range []string{"", "4", "4 GiB", "-1B", "1.5.5GB", "99999999999999TiB", "4gib"} {
		var b ByteSize
		if b.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is read as %d", text, b)
		}
	}
	for text, want := range map[string]string{"90s": "1m30s", "10m": "10m", "1h": "1h", "1h30m": "1h30m", "100ms": "100ms", "0s": "0s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v", text, d, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		data, err := Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	dir := f.TempDir() // empty, so that extends finds nothing
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(filepath.Join(dir, "f.yaml"), data)
		if err == nil {
			if p.Name == "" || p.K3s.Version == "" || p.Waits.K3sStall <= 0 {
				t.Errorf("accepted %+v", p)
			}
			return
		}
		if fault.CodeOf(err) != fault.ConfigInvalid || !strings.Contains(fault.EvidenceOf(err), "f.yaml:") {
			t.Errorf("no position in %v: %q", err, fault.EvidenceOf(err))
		}
	})
}
