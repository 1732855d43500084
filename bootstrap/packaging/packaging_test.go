package packaging

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func built(system string) Build {
	return Build{
		Target: Target{system, "amd64"},
		Binary: []byte("\x7fELF"),
		Time:   time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		Info: &debug.BuildInfo{
			GoVersion: "go1.26.8",
			Main:      debug.Module{Path: "github.com/Example/Program", Version: "v0.3.0-rc.1"},
			Deps: []*debug.Module{
				{Path: "github.com/BurntSushi/toml", Version: "v1.6.0", Sum: "h1:abc="},
				{Path: "example.org/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/new", Version: "v2.0.0+incompatible"}},
			},
			Settings: []debug.BuildSetting{{Key: "GOAMD64", Value: "v1"}},
		},
	}
}

var papers = Papers{
	Readme:      []byte("# read me\n"),
	Manual:      map[string][]byte{"ssg-bootstrap.1": []byte(".TH\n"), "ssg-bootstrap-plan.1": []byte(".TH plan\n")},
	Completions: map[string][]byte{"bash": []byte("b"), "zsh": []byte("z"), "fish": []byte("f"), "powershell": []byte("p")},
}

func TestAnArchiveIsTheSameBytesEachTimeAndHoldsEverything(t *testing.T) {
	want := []string{"ssg-bootstrap", "README.md", "completions/bash", "completions/fish", "completions/powershell", "completions/zsh", "man/man1/ssg-bootstrap-plan.1", "man/man1/ssg-bootstrap.1"}
	for _, system := range []string{"linux", "windows"} {
		b := built(system)
		one, err := Archive(b, Portable(b, papers))
		if err != nil {
			t.Fatal(err)
		}
		two, err := Archive(b, Portable(b, papers))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one.Data, two.Data) {
			t.Errorf("%s differs from run to run", one.Path)
		}
		names := listed(t, b, one)
		expect := slices.Clone(want)
		expect[0] = b.Target.Binary()
		for i := range expect {
			expect[i] = "ssg-bootstrap_0.3.0-rc.1_" + system + "_amd64/" + expect[i]
		}
		if !slices.Equal(names, expect) {
			t.Errorf("%s holds %v", one.Path, names)
		}
	}
}

// listed names what an archive holds and checks dates and modes on the way.
func listed(t *testing.T, b Build, f File) []string {
	t.Helper()
	var out []string
	look := func(name string, at time.Time, mode int64) {
		out = append(out, name)
		if !at.Equal(b.Time) {
			t.Errorf("%s is of %s", name, at)
		}
		if program := strings.HasSuffix(name, "/"+b.Target.Binary()); program != (mode == 0o755) {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
	if b.Target.OS == "windows" {
		r, err := zip.NewReader(bytes.NewReader(f.Data), int64(len(f.Data)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.File {
			look(e.Name, e.Modified, int64(e.Mode().Perm()))
		}
		return out
	}
	z, err := gzip.NewReader(bytes.NewReader(f.Data))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		look(h.Name, h.ModTime, h.Mode)
	}
}

func TestTheBillOfMaterialsNamesWhatIsLinkedIn(t *testing.T) {
	b := built("linux")
	f, err := SBOM(b)
	if err != nil {
		t.Fatal(err)
	}
	var got bom
	if err := json.Unmarshal(f.Data, &got); err != nil {
		t.Fatal(err)
	}
	var purls []string
	for _, c := range got.Components {
		purls = append(purls, c.PURL)
	}
	want := []string{"pkg:golang/std@1.26.8", "pkg:golang/github.com/burntsushi/toml@v1.6.0", "pkg:golang/example.org/new@v2.0.0%2Bincompatible"}
	if !slices.Equal(purls, want) || !slices.Equal(got.Dependencies[0].On, want) {
		t.Errorf("got %v, the program depends on %v", purls, got.Dependencies[0].On)
	}
	sum := sha256.Sum256(b.Binary)
	if h := got.Metadata.Component.Hashes[0].Content; h != hex.EncodeToString(sum[:]) {
		t.Errorf("the program's hash is %s", h)
	}
	if got.Metadata.Timestamp != "2026-05-04T03:02:01Z" || f.Path != "ssg-bootstrap_0.3.0-rc.1_linux_amd64.cdx.json" {
		t.Errorf("of %s, in %s", got.Metadata.Timestamp, f.Path)
	}
}

func TestThePackageForDebianPutsEverythingInItsPlace(t *testing.T) {
	b := built("linux")
	files, err := Installed(b, papers)
	if err != nil {
		t.Fatal(err)
	}
	data, err := Debian(b, "/root-of-it", files)
	if err != nil {
		t.Fatal(err)
	}
	var c nfpmConfig
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Version != "0.3.0~rc.1" || b.DebianName() != "ssg-bootstrap_0.3.0~rc.1_amd64.deb" {
		t.Errorf("version %s in %s", c.Version, b.DebianName())
	}
	places := map[string]bool{}
	for _, e := range c.Contents {
		places[e.Destination] = true
		if e.Info.ModTime != "2026-05-04T03:02:01Z" || e.Source != "/root-of-it"+e.Destination {
			t.Errorf("%+v", e)
		}
	}
	for _, want := range []string{
		"/usr/bin/ssg-bootstrap", "/usr/share/man/man1/ssg-bootstrap-plan.1.gz",
		"/usr/share/bash-completion/completions/ssg-bootstrap", "/usr/share/zsh/vendor-completions/_ssg-bootstrap",
	} {
		if !places[want] {
			t.Errorf("%s is not there", want)
		}
	}
}

func TestAProgramWithoutACommitIsRefused(t *testing.T) {
	// This test's own program is built without -buildvcs.
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadBuild(Target{"linux", "amd64"}, path, nil); err == nil || !strings.Contains(err.Error(), "git clone") {
		t.Errorf("got %v", err)
	}
}

func TestSumsAreAsSha256sumReadsThem(t *testing.T) {
	got := string(Sums([]File{{Path: "a", Data: []byte("x")}}))
	if want := "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestTargetsCanBeChosen(t *testing.T) {
	all, err := ParseTargets("")
	if err != nil || len(all) != 6 {
		t.Errorf("got %v, %v", all, err)
	}
	some, err := ParseTargets("windows/arm64 linux/amd64")
	if err != nil || !slices.Equal(some, []Target{{"windows", "arm64"}, {"linux", "amd64"}}) {
		t.Errorf("got %v, %v", some, err)
	}
	if _, err := ParseTargets("plan9/mips"); err == nil {
		t.Error("plan9/mips was taken")
	}
}
