package build

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// scratch is a builder whose cache is empty and whose sources are a module
// with one command.
func scratch(t *testing.T) *builder {
	t.Helper()
	dir := t.TempDir()
	writeTree(t, filepath.Join(dir, "lab", "tool"), map[string]string{
		"go.mod":  "module example.org/tool\n\ngo 1.26\n\nrequire example.org/upstream/v2 v2.3.4\n",
		"main.go": "package main\n\nvar version = \"none\"\n\nfunc main() { print(version) }\n",
	})
	products, err := store.Open(filepath.Join(dir, "cache", "store"))
	if err != nil {
		t.Fatal(err)
	}
	return &builder{lab: filepath.Join(dir, "lab"), cache: filepath.Join(dir, "cache"), store: products, log: slog.New(slog.DiscardHandler)}
}

func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProgramIsMadeAnewWhenItsSourcesOrFlagsChange(t *testing.T) {
	b := scratch(t)
	tool := program{name: "tool", module: "tool", packages: []string{"."}, output: "tool", set: map[string]string{"main.version": "1"}}
	sum := func(p program) string {
		recipe, err := b.programRecipe(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return recipe.Sum()
	}
	first := sum(tool)
	other := tool
	other.set = map[string]string{"main.version": "2"}
	tagged := tool
	tagged.tags = []string{"extra"}
	for what, p := range map[string]program{"a stamped version": other, "a tag": tagged} {
		if sum(p) == first {
			t.Errorf("a change of %s leaves the product as it is", what)
		}
	}
	writeTree(t, filepath.Join(b.lab, "tool"), map[string]string{"main_test.go": "package main", "README.md": "# tool"})
	if sum(tool) != first {
		t.Error("a test and a README make the product anew")
	}
	writeTree(t, filepath.Join(b.lab, "tool"), map[string]string{"more.go": "package main"})
	if sum(tool) == first {
		t.Error("a new source leaves the product as it is")
	}
}

func TestCompileMakesTheCommandOnce(t *testing.T) {
	b := scratch(t)
	writeTree(t, filepath.Join(b.lab, "tool"), map[string]string{"go.mod": "module example.org/tool\n\ngo 1.26\n"})
	tool := program{name: "tool", module: "tool", packages: []string{"."}, output: "tool", set: map[string]string{"main.version": "v7"}}
	dir, err := b.compile(t.Context(), tool)
	if err != nil {
		t.Fatal(err)
	}
	made, err := os.Stat(filepath.Join(dir, "tool"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.compile(t.Context(), tool)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := os.Stat(filepath.Join(again, "tool")); err != nil || !os.SameFile(made, same) {
		t.Errorf("a second build made another file: %v", err)
	}
}

func TestFailureShowsTheEndOfTheLog(t *testing.T) {
	b := scratch(t)
	writeTree(t, filepath.Join(b.lab, "tool"), map[string]string{"go.mod": "module example.org/tool\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { undefinedThing() }\n"})
	_, err := b.compile(t.Context(), program{name: "tool", module: "tool", packages: []string{"."}, output: "tool"})
	if err == nil {
		t.Fatal("a program that does not compile was built")
	}
	for _, want := range []string{"undefinedThing", "the whole log: " + filepath.Join(b.cache, "log", "build-tool.log")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestGetKeepsTheCauseOfAFailure(t *testing.T) {
	b, cause := scratch(t), errors.New("no more floppies")
	_, err := b.get(t.Context(), "thing", &store.Recipe{}, func(context.Context, string, *os.File) error { return cause })
	if !errors.Is(err, cause) {
		t.Errorf("error = %v, want %v in it", err, cause)
	}
}

func TestModuleVersion(t *testing.T) {
	b := scratch(t)
	version, err := moduleVersion(filepath.Join(b.lab, "tool"), "example.org/upstream/v2")
	if err != nil || version != "v2.3.4" {
		t.Errorf("version = %q, %v; want v2.3.4", version, err)
	}
	if _, err := moduleVersion(filepath.Join(b.lab, "tool"), "example.org/missing"); err == nil {
		t.Error("a module that is not required has a version")
	}
}

// The names are those that k3s's manifests ask for, so they are written down
// here rather than derived: a new version in a go.mod must not rename an image
// that lab/k3s still looks for under the old name.
func TestUpstreamVersionsAreTheOnesThatManifestsName(t *testing.T) {
	lab, err := findLab()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"coredns": "v1.14.6", "metrics-server": "v0.9.0", "local-path-provisioner": "v0.0.30", "traefik": "v3.6.7"}
	for _, u := range upstreams() {
		version, err := moduleVersion(filepath.Join(lab, u.folder()), u.module)
		if err != nil {
			t.Error(err)
		}
		if expected, named := want[u.name]; named && version != expected {
			t.Errorf("%s is %s, its image is to be of %s", u.name, version, expected)
		}
	}
}

func TestCommandsAreForTheOldestProcessors(t *testing.T) {
	for _, u := range upstreams() {
		environment := u.program("v1.0.0").environment()
		if !slices.Contains(environment, "GOAMD64=v1") {
			t.Errorf("%s is compiled with %q", u.name, environment)
		}
	}
}

func TestNeededFromPackages(t *testing.T) {
	for path, want := range map[string]bool{
		"usr/sbin/xtables-nft-multi":                          true,
		"usr/sbin/conntrack":                                  true,
		"usr/sbin/iptables-apply":                             false,
		"usr/lib/x86_64-linux-gnu/libmnl.so.0":                true,
		"usr/lib/x86_64-linux-gnu/xtables/libxt_comment.so":   true,
		"usr/lib/x86_64-linux-gnu/xtables/libebt_stp.so":      false,
		"usr/share/doc/iptables/changelog.so.gz":              false,
		"usr/lib/x86_64-linux-gnu/pkgconfig/libsomething.so.": false,
	} {
		if got := neededFromPackages(path); got != want {
			t.Errorf("neededFromPackages(%q) = %t, want %t", path, got, want)
		}
	}
}

// The script must find its libraries from where it lies, also through a link.
func TestWrapperFindsItsLibraries(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "aux", "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	tool := "#!/bin/sh\necho \"$LD_LIBRARY_PATH $XTABLES_LIBDIR $*\"\n"
	if err := os.WriteFile(filepath.Join(dir, "aux", "lib", "xtables-nft-multi"), []byte(tool), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeWrappers(filepath.Join(dir, "aux")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join("aux", "ip6tables-save"), filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	lib := filepath.Join(dir, "aux", "lib")
	for _, path := range []string{filepath.Join(dir, "aux", "ip6tables-save"), filepath.Join(dir, "linked")} {
		got, err := output(t.Context(), "/", path, "-t", "a b")
		if err != nil {
			t.Fatal(err)
		}
		if want := lib + " " + lib + "/xtables ip6tables-save -t a b"; got != want {
			t.Errorf("%s ran with %q, want %q", filepath.Base(path), got, want)
		}
	}
}

func TestSumsAreInTheFormOfSha256sum(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"k3s": "abc"})
	if err := writeSums(filepath.Join(dir, sumsName), filepath.Join(dir, "k3s")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil {
		t.Fatal(err)
	}
	if want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  k3s\n"; string(got) != want {
		t.Errorf("sums = %q, want %q", got, want)
	}
}

func TestPlaceReplacesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"store/1/k3s": "old", "store/2/k3s": "new"})
	to := filepath.Join(dir, "out", "k3s")
	for _, product := range []string{"1", "2", "2"} {
		if err := place(filepath.Join(dir, "store", product, "k3s"), to); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := os.ReadFile(to); err != nil || string(content) != "new" {
		t.Errorf("placed %q, %v; want new", content, err)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("beside it lies %v, %v", left, err)
	}
}

func TestSharedPartsAreOneLayer(t *testing.T) {
	b := scratch(t)
	shared := part{name: "shared", files: []image.File{{Path: "/shared", Mode: 0o644, Data: []byte("x")}}}
	own := part{name: "own", files: []image.File{{Path: "/own", Mode: 0o755, Data: []byte("y")}}}
	planned := []plannedImage{
		{name: "docker.io/example/one:1", parts: []part{shared}},
		{name: "docker.io/example/two:1", parts: []part{shared, own}, config: v1.Config{User: "1"}},
	}
	images, err := writeImages(planned, filepath.Join(b.cache, "store"))
	if err != nil {
		t.Fatal(err)
	}
	var digests []v1.Hash
	for _, named := range images {
		layers, err := named.Image.Layers()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := layers[0].Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("the shared part became %s and %s", digests[0], digests[1])
	}
}

func TestCheckReport(t *testing.T) {
	const head = "REF TYPE DIGEST STATUS SIZE UNPACKED\n"
	planned := []plannedImage{{name: "docker.io/example/one:1"}}
	for report, want := range map[string]string{
		head + "docker.io/example/one:1 type sha256:0 complete (2/2) 1.0 MiB/1.0 MiB true\n":   "",
		head + "docker.io/example/one:1 type sha256:0 complete (2/2) 1.0 MiB/1.0 MiB false\n":  "not complete and unpacked",
		head + "docker.io/example/one:1 type sha256:0 incomplete (1/2) 1.0 MiB/1.0 MiB true\n": "not complete and unpacked",
		head + "docker.io/example/one:12 type sha256:0 complete (2/2) 1.0 MiB/1.0 MiB true\n":  "was not imported",
	} {
		err := checkReport(report, planned)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("checkReport(%q) = %v, want %q", report, err, want)
		}
	}
}

func TestInstalledNeedsTheWholePackage(t *testing.T) {
	if installed(t.Context(), "no-such-package-as-this") {
		t.Error("a package that does not exist is installed")
	}
}

func TestWriteReplaceTakesTheDependencyFromAFolder(t *testing.T) {
	b := scratch(t)
	from, to := filepath.Join(b.lab, "tool", "go.mod"), filepath.Join(b.cache, "go.mod")
	if err := writeReplace(from, to, "example.org/upstream/v2", "/patched"); err != nil {
		t.Fatal(err)
	}
	folder, err := output(t.Context(), b.cache, "go", "mod", "edit", "-json", to)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(folder, `"/patched"`) || !strings.Contains(folder, `"v2.3.4"`) {
		t.Errorf("the new go.mod says\n%s", folder)
	}
}

func TestAddFilesLeavesTheStoresOwnFilesOut(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"iptables": "", "lib/xtables/libxt_mark.so": "", ".recipe": ""})
	files := map[string]string{}
	if err := addFiles(files, dir, "bin/aux"); err != nil {
		t.Fatal(err)
	}
	if got, want := sortedNames(files), []string{"bin/aux/iptables", "bin/aux/lib/xtables/libxt_mark.so"}; !slices.Equal(got, want) {
		t.Errorf("files = %q, want %q", got, want)
	}
}

func TestImagesAreMadeAnewWhenOneOfThemChanges(t *testing.T) {
	lab, err := findLab()
	if err != nil {
		t.Fatal(err)
	}
	b := scratch(t)
	b.lab = lab
	program := filepath.Join(t.TempDir(), "program")
	sum := func(content, user, path string) string {
		if err := os.WriteFile(program, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		recipe, err := b.imagesRecipe([]plannedImage{{name: "docker.io/example/one:1", parts: []part{command("own", program, path)}, config: v1.Config{User: user}}})
		if err != nil {
			t.Fatal(err)
		}
		return recipe.Sum()
	}
	first := sum("a", "1", "/a")
	for what, other := range map[string]string{"content": sum("b", "1", "/a"), "user": sum("a", "2", "/a"), "place": sum("a", "1", "/b")} {
		if other == first {
			t.Errorf("a program's new %s leaves the images as they are", what)
		}
	}
	if again := sum("a", "1", "/a"); again != first {
		t.Errorf("the same images gave %s and %s", first, again)
	}
}

func TestCheckLibrariesNamesWhatIsMissing(t *testing.T) {
	lib := t.TempDir()
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := copyFile(shell, filepath.Join(lib, "tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := checkLibraries(lib); err != nil {
		t.Errorf("a program that needs only the C library: %v", err)
	}
	more, err := filepath.EvalSymlinks("/usr/bin/dpkg-deb")
	if err != nil {
		t.Fatal(err)
	}
	if err := copyFile(more, filepath.Join(lib, "other"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := checkLibraries(lib); err == nil || !strings.Contains(err.Error(), "other needs lib") {
		t.Errorf("a program that needs more: %v", err)
	}
}
