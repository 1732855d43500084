package build

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
)

const appRepository = "ghcr.io/omkar619-dev/studentsystemgo"

// Commits that the application's images are built of. All that differs between
// the two images is the last layer, as between two pushes of the real one.
const (
	firstCommit  = "0000001"
	secondCommit = "0000002"
)

// Tags of images that the box cannot run: one has a program whose ELF note asks
// for a newer processor, in the other one Go's own build settings say so.
const (
	newerByNote = "needs-v2"
	newerByGo   = "needs-v2-go"
)

// appProgram is the server and the worker of the lab's application.
func appProgram(commit string) program {
	return program{
		name: "app", module: ".", sources: "app", packages: []string{"./app/cmd/server", "./app/cmd/worker"},
		set: map[string]string{"main.commit": commit},
	}
}

func netcat() program {
	return program{name: "nc", module: ".", sources: "app/cmd/nc", packages: []string{"./app/cmd/nc"}, output: "nc"}
}

// planApp lists the application's images.
func (b *builder) planApp(ctx context.Context) ([]plannedImage, error) {
	base, err := b.planAppBase(ctx)
	if err != nil {
		return nil, err
	}
	var planned []plannedImage
	add := func(tag string, programs part) {
		planned = append(planned, plannedImage{name: appRepository + ":" + tag, parts: []part{base, programs}, config: appConfig()})
	}
	for _, commit := range []string{firstCommit, secondCommit} {
		dir, err := b.compile(ctx, appProgram(commit))
		if err != nil {
			return nil, err
		}
		programs := appPart("app-"+commit, filepath.Join(dir, "server"), filepath.Join(dir, "worker"))
		if commit == firstCommit {
			add("latest", programs)
		}
		add("sha-"+commit, programs)
	}
	// Any Go program will do, for nothing of it is ever run; this one is small.
	newer := netcat()
	newer.name, newer.level = "nc-v2", "v2"
	dir, err := b.compile(ctx, newer)
	if err != nil {
		return nil, err
	}
	add(newerByGo, appPart(newerByGo, filepath.Join(dir, "nc"), filepath.Join(dir, "nc")))
	noted, err := b.pauseForV2(ctx)
	if err != nil {
		return nil, err
	}
	add(newerByNote, appPart(newerByNote, filepath.Join(noted, "pause"), filepath.Join(noted, "pause")))
	return planned, nil
}

func appPart(name, server, worker string) part {
	return part{name: name, files: []image.File{
		{Path: "/app/server", Mode: 0o755, Source: server},
		{Path: "/app/worker", Mode: 0o755, Source: worker},
	}}
}

// planAppBase is what stands in for alpine: a user, the usual commands, and a
// netcat that can scan. The shell is not busybox's: Debian's prefers its own
// commands to those on the search path, and its nc cannot scan.
func (b *builder) planAppBase(ctx context.Context) (part, error) {
	shell, err := b.busyboxPart(ctx)
	if err != nil {
		return part{}, err
	}
	scan, err := b.compile(ctx, netcat())
	if err != nil {
		return part{}, err
	}
	root, err := b.allPackages(ctx, "service-packages", servicePackages())
	if err != nil {
		return part{}, err
	}
	dash := newPicker(root, nil)
	if err := dash.pick("usr/bin/dash", "usr/lib64/"+loader); err != nil {
		return part{}, err
	}
	own := map[string]image.File{
		"/bin/nc": {Path: "/bin/nc", Mode: 0o755, Source: filepath.Join(scan, "nc")},
		"/bin/sh": {Path: "/bin/sh", Link: "/usr/bin/dash"},
		"/lib64":  {Path: "/lib64", Link: "usr/lib64"},
	}
	files := account{name: "appuser", uid: 1000, gid: 1000, home: "/home/appuser"}.part().files
	files = append(files, slices.DeleteFunc(shell.files, func(f image.File) bool { _, ours := own[f.Path]; return ours })...)
	files = append(files, dash.part("dash").files...)
	for _, at := range slices.Sorted(maps.Keys(own)) {
		files = append(files, own[at])
	}
	return part{name: "app-base", files: files}, nil
}

// appConfig is the published image's, down to the user's name in place of a
// number: a pod that must not run as root has to say which number that is.
func appConfig() v1.Config {
	return v1.Config{
		User: "appuser", WorkingDir: "/app", Cmd: []string{"/app/server"}, Env: searchPath(),
		ExposedPorts: map[string]struct{}{"3000/tcp": {}},
	}
}
