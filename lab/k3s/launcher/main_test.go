package main

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	cases := []struct {
		argv    []string
		command string
		args    []string
	}{
		{[]string{"k3s"}, "", nil},
		{[]string{"/usr/local/bin/k3s", "server", "--debug"}, "server", []string{"--debug"}},
		{[]string{"k3s", "kubectl", "get", "nodes"}, "kubectl", []string{"get", "nodes"}},
		{[]string{"/usr/local/bin/kubectl", "get", "nodes"}, "kubectl", []string{"get", "nodes"}},
		{[]string{"ctr"}, "ctr", []string{}},
	}
	for _, c := range cases {
		command, args := split(c.argv)
		if command != c.command || !slices.Equal(args, c.args) {
			t.Errorf("%v: %q %v", c.argv, command, args)
		}
	}
}

func TestEnvironmentOrdersPrograms(t *testing.T) {
	t.Setenv("PATH", "/usr/bin")
	for bundled, want := range map[bool]string{
		false: "PATH=/d/bin:/usr/bin:/d/bin/aux",
		true:  "PATH=/d/bin:/d/bin/aux:/usr/bin",
	} {
		env := environment([]string{"PATH=/usr/bin", "GOGC=50"}, "/d/bin", bundled)
		if !slices.Contains(env, want) || slices.Contains(env, "PATH=/usr/bin") || !slices.Contains(env, "GOGC=50") || !slices.Contains(env, "K3S_DATA_DIR=/d") {
			t.Errorf("bundled %v: %v", bundled, env)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, argv := range [][]string{{"k3s", "etcd-snapshot", "save"}, {"k3s", "sevrer"}} {
		if err := run(argv); err == nil {
			t.Errorf("%v was accepted", argv)
		}
	}
}
