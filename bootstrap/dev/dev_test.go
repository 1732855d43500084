package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// desk is a computer on which programs do what a test says, and nothing that it
// does not.
type desk struct {
	missing string
	// answers are the outputs by command line, failures what is said by those
	// that fail.
	answers, failures map[string]string
	ran               []string
}

func (d *desk) Find(name string) error {
	if name == d.missing {
		return fmt.Errorf("%s is not installed on this computer", name)
	}
	return nil
}

func (d *desk) Run(_ context.Context, argv []string, seen func(string)) ([]byte, error) {
	line := strings.Join(argv, " ")
	d.ran = append(d.ran, line)
	if said, ok := d.failures[line]; ok {
		return nil, &SaidError{Program: argv[0], Said: said, Err: errors.New("exit status 1")}
	}
	out, ok := d.answers[line]
	if !ok {
		return nil, fmt.Errorf("unexpected command: %s", line)
	}
	return []byte(out), nil
}

const (
	daemon = "docker version --format {{.Server.Version}}"
	list   = "k3d cluster list --output json"
	create = "k3d cluster create dev --wait --timeout 5m --api-port 127.0.0.1:random --port 127.0.0.1:8080:80@loadbalancer --kubeconfig-update-default --kubeconfig-switch-context=false --image rancher/k3s:v1.36.4-k3s1"
	start  = "k3d cluster start dev --wait --timeout 5m"
	merge  = "k3d kubeconfig merge dev --kubeconfig-merge-default --kubeconfig-switch-context=false"
)

func on(d *desk) Cluster {
	return Cluster{Tools: d, Name: "dev", Version: "v1.36.4+k3s1", Port: 8080}
}

func TestWhatIsMissingIsNamedWithItsRemedy(t *testing.T) {
	for _, c := range []struct {
		desk desk
		code fault.Code
		says string
	}{
		{desk{missing: "docker"}, fault.ToolMissing, "install Docker"},
		{desk{missing: "k3d"}, fault.ToolMissing, "make demo"},
		{desk{failures: map[string]string{daemon: "Cannot connect to the Docker daemon"}}, fault.ToolFailed, "systemctl start docker"},
	} {
		err := on(&c.desk).Ready(t.Context())
		if fault.CodeOf(err) != c.code || !strings.Contains(fault.NextOf(err), c.says) {
			t.Errorf("%v: code %s, next %q", err, fault.CodeOf(err), fault.NextOf(err))
		}
		if c.code == fault.ToolFailed && fault.EvidenceOf(err) != "Cannot connect to the Docker daemon" {
			t.Errorf("the evidence is %q", fault.EvidenceOf(err))
		}
	}
}

func TestUpMakesAClusterOrStartsTheOneThatIsThere(t *testing.T) {
	for _, c := range []struct {
		lists string
		fresh bool
		runs  []string
	}{
		{`[]`, true, []string{list, create}},
		{`[{"name":"dev-two","serversCount":1}]`, true, []string{list, create}},
		{`[{"name":"dev","serversCount":1,"serversRunning":0}]`, false, []string{list, start, merge}},
	} {
		d := &desk{answers: map[string]string{list: c.lists, create: "", start: "", merge: ""}}
		fresh, err := on(d).Up(t.Context())
		if err != nil || fresh != c.fresh || !slices.Equal(d.ran, c.runs) {
			t.Errorf("%s: new %v, error %v, ran %q", c.lists, fresh, err, d.ran)
		}
	}
}

func TestOnlyWhatDockerLacksIsFetchedAndAllIsImportedAtOnce(t *testing.T) {
	inspect := "docker image inspect --format {{.Id}} "
	d := &desk{
		failures: map[string]string{inspect + "docker.io/library/redis:7-alpine": "No such image"},
		answers: map[string]string{
			inspect + "ssg:dev":                                                       "sha256:1",
			"docker pull docker.io/library/redis:7-alpine":                            "",
			"k3d image import --cluster dev ssg:dev docker.io/library/redis:7-alpine": "",
		},
	}
	if err := on(d).Load(t.Context(), []string{"ssg:dev", "docker.io/library/redis:7-alpine"}); err != nil {
		t.Error(err)
	}
	if len(d.ran) != 4 {
		t.Errorf("ran %q", d.ran)
	}
	if err := on(d).Load(t.Context(), []string{"--all"}); fault.CodeOf(err) != fault.Usage {
		t.Errorf("a flag was taken for an image: %v", err)
	}
	if err := on(d).Load(t.Context(), nil); err == nil {
		t.Error("nothing was loaded and nothing said")
	}
}

func TestDownDeletesItsOwnClusterByName(t *testing.T) {
	d := &desk{answers: map[string]string{"k3d cluster delete dev": ""}}
	if err := on(d).Down(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAListThatIsNoListIsNotTakenForAnEmptyOne(t *testing.T) {
	d := &desk{answers: map[string]string{list: "NAME SERVERS\ndev 1/1\n"}}
	if _, err := on(d).Up(t.Context()); fault.CodeOf(err) != fault.ToolFailed || len(d.ran) != 1 {
		t.Errorf("got %v, ran %q", err, d.ran)
	}
}

func FuzzListed(f *testing.F) {
	f.Add([]byte(`[{"name":"dev"}]`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if found, err := listed(data, "dev"); found && err != nil {
			t.Errorf("found in %q, and %v", data, err)
		}
	})
}

func TestProgramsShowWhatAProgramSaid(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program of this test is a shell script")
	}
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho out; echo 'no space left' >&2; exit \"$1\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var seen []string
	out, err := Programs{}.Run(t.Context(), []string{path, "0"}, func(l string) { seen = append(seen, l) })
	slices.Sort(seen)
	if err != nil || string(out) != "out\n" || !slices.Equal(seen, []string{"no space left", "out"}) {
		t.Errorf("%q, %v, seen %q", out, err, seen)
	}
	_, err = Programs{}.Run(t.Context(), []string{path, "3"}, nil)
	var said *SaidError
	if !errors.As(err, &said) || !strings.Contains(said.Said, "no space left") || !strings.HasSuffix(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	if (Programs{}).Find("no-such-program-anywhere") == nil {
		t.Error("a program that is not there was found")
	}
}

func TestProgramsStopWhenTheUserDoes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program of this test is a shell script")
	}
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ntrap 'exit 0' INT\necho started\nwhile :; do sleep 0.01; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Programs{}.Run(ctx, []string{path}, func(string) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
