package build

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

const sumsName = "sha256sum-amd64.txt"

// k3sProgram says how one of the commands in the nested module lab/k3s is
// compiled for a release.
func (b *builder) k3sProgram(command, version string) (program, error) {
	p := program{name: "k3s-" + command, module: "k3s", packages: []string{"./" + command}, output: "k3s-" + command}
	if command == "pack" {
		return p, nil
	}
	folder := filepath.Join(b.lab, p.module)
	kubernetes, err := moduleVersion(folder, "k8s.io/kubernetes")
	if err != nil {
		return program{}, err
	}
	sources := &store.Recipe{}
	if err := sources.AddTree(folder, compiled); err != nil {
		return program{}, fmt.Errorf("describe k3s: %w", err)
	}
	p.set = map[string]string{"main.release": version, "main.revision": sources.Sum()[:8], "main.upstream": kubernetes}
	if command == "server" {
		// SQLite, which k3s keeps its state in, is C.
		p.cgo, p.tags = true, []string{"sqlite_omit_load_extension"}
		stampKubernetes(p.set, version)
	}
	return p, nil
}

// stampKubernetes fills in the version that Kubernetes reports through its API
// and on the node, which in k3s is k3s's own.
func stampKubernetes(set map[string]string, version string) {
	numbers := strings.Split(strings.TrimPrefix(version, "v"), ".")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		set[pkg+".gitVersion"] = version
		set[pkg+".gitTreeState"] = "clean"
		if len(numbers) > 2 {
			set[pkg+".gitMajor"], set[pkg+".gitMinor"] = numbers[0], numbers[1]
		}
	}
}

// compileK3s returns the path of one of the commands in lab/k3s.
func (b *builder) compileK3s(ctx context.Context, command, version string) (string, error) {
	p, err := b.k3sProgram(command, version)
	if err != nil {
		return "", err
	}
	dir, err := b.compile(ctx, p)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, p.output), nil
}

// release lays out the files of one k3s release as their publisher does and
// returns their folder.
func (b *builder) release(ctx context.Context, version string) (string, error) {
	archive, err := b.airgap(ctx)
	if err != nil {
		return "", err
	}
	binary, err := b.k3s(ctx, version)
	if err != nil {
		return "", err
	}
	recipe := &store.Recipe{}
	for _, path := range []string{archive, binary} {
		if err := recipe.AddFile(filepath.Base(path), path); err != nil {
			return "", fmt.Errorf("describe release: %w", err)
		}
	}
	sums, err := b.get(ctx, "k3s-release", recipe, func(_ context.Context, dir string, _ *os.File) error {
		return writeSums(filepath.Join(dir, sumsName), archive, binary)
	})
	if err != nil {
		return "", err
	}
	dir := b.out("mirror", "k3s-io", "k3s", "releases", "download", version)
	// The sums last: whoever finds them finds the files that they are of.
	for _, path := range []string{archive, binary, filepath.Join(sums, sumsName)} {
		if err := place(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			return "", fmt.Errorf("place %s: %w", filepath.Base(path), err)
		}
	}
	return dir, nil
}

func writeSums(path string, files ...string) error {
	var lines strings.Builder
	for _, file := range files {
		sum, err := store.FileSum(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s  %s\n", sum, filepath.Base(file))
	}
	return os.WriteFile(path, []byte(lines.String()), 0o644)
}

// k3s returns the one file that holds the launcher and everything it unpacks.
func (b *builder) k3s(ctx context.Context, version string) (string, error) {
	commands := map[string]string{}
	for _, name := range []string{"launcher", "server", "pack"} {
		path, err := b.compileK3s(ctx, name, version)
		if err != nil {
			return "", err
		}
		commands[name] = path
	}
	payload, err := b.payload(ctx)
	if err != nil {
		return "", err
	}
	payload["bin/k3s-server"] = commands["server"]
	recipe := &store.Recipe{}
	for _, name := range []string{"pack", "launcher"} {
		if err := recipe.AddFile(name, commands[name]); err != nil {
			return "", fmt.Errorf("describe k3s: %w", err)
		}
	}
	arguments := []string{"-launcher", commands["launcher"]}
	for _, name := range sortedNames(payload) {
		if err := recipe.AddFile(name, payload[name]); err != nil {
			return "", fmt.Errorf("describe k3s: %w", err)
		}
		arguments = append(arguments, "-file", name+"="+payload[name])
	}
	dir, err := b.get(ctx, "k3s", recipe, func(ctx context.Context, dir string, log *os.File) error {
		pack := exec.CommandContext(ctx, commands["pack"], append(arguments, "-out", filepath.Join(dir, "k3s"))...)
		pack.Stdout, pack.Stderr = log, log
		return pack.Run()
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "k3s"), nil
}

// payload lists what k3s unpacks on the box, other than the server itself.
func (b *builder) payload(ctx context.Context) (map[string]string, error) {
	files := map[string]string{}
	for _, u := range upstreams() {
		if _, inImage := imageOf(u.name, part{}); inImage {
			continue
		}
		dir, err := b.upstream(ctx, u)
		if err != nil {
			return nil, err
		}
		if err := addFiles(files, dir, "bin"); err != nil {
			return nil, err
		}
	}
	netfilter, err := b.netfilter(ctx)
	if err != nil {
		return nil, err
	}
	return files, addFiles(files, netfilter, "bin/aux")
}

// addFiles notes every file of a product under the given folder of the payload.
func addFiles(files map[string]string, dir, below string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[below+"/"+name] = path
		return err
	})
}

// upstream returns the folder of a published program's commands.
func (b *builder) upstream(ctx context.Context, u upstream) (string, error) {
	version, err := moduleVersion(filepath.Join(b.lab, u.folder()), u.module)
	if err != nil {
		return "", err
	}
	return b.compile(ctx, u.program(version))
}

// programs compiles everything, two at a time: while one is linked, which takes
// a single core, the other compiles.
func (b *builder) programs(ctx context.Context, version string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	group.Go(func() error { _, err := b.compileK3s(ctx, "server", version); return err })
	for _, u := range upstreams() {
		group.Go(func() error { _, err := b.upstream(ctx, u); return err })
	}
	return group.Wait()
}
