package workflow_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/lab/workflow"
)

const example = `
name: ci
on: push
env:
  IMAGE: ghcr.io/${{ github.repository }}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{run: "echo never"}]
  deploy:
    runs-on: [self-hosted]
    env:
      TAG: sha-${{ github.sha }}
      NOTE: it's "quoted" $HOME
    steps:
      - uses: actions/checkout@0000
      - name: first
        run: |
          echo "$IMAGE:$TAG"
          echo "$NOTE"
          echo "LATER=handed on" >>"$GITHUB_ENV"
          mkdir -p "$RUNNER_TEMP/bin"
          printf '#!/bin/sh\necho found\n' >"$RUNNER_TEMP/bin/tool"
          chmod +x "$RUNNER_TEMP/bin/tool"
          echo "$RUNNER_TEMP/bin" >>"$GITHUB_PATH"
      - name: second
        env:
          OWN: ${{ env.TAG }}/${{ vars.MISSING || 'fallback' }}
        working-directory: /
        run: |
          echo "$LATER $OWN in $PWD"
          cat # has nothing to read
          tool
      - name: third
        run: echo "own is ${OWN-gone}"
      - name: rollback
        if: ${{ failure() }}
        run: echo never
`

func values() map[string]string {
	return map[string]string{"github.repository": "owner/name", "github.sha": "0000002", "vars.MISSING": ""}
}

func TestStepsRunAsWritten(t *testing.T) {
	job, err := workflow.Read([]byte(example), "deploy", values())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(job.Uses, []string{"actions/checkout@0000"}) {
		t.Errorf("uses %v", job.Uses)
	}
	shell := exec.Command("sh", "-s")
	shell.Stdin = strings.NewReader(job.Script)
	shell.Dir = t.TempDir()
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, job.Script)
	}
	want := `== first
ghcr.io/owner/name:sha-0000002
it's "quoted" $HOME
== second
handed on sha-0000002/fallback in /
found
== third
own is gone
`
	if string(out) != want {
		t.Errorf("printed\n%s\nwant\n%s", out, want)
	}
}

func TestTheFirstFailureEndsIt(t *testing.T) {
	text := "jobs: {deploy: {steps: [{name: one, run: 'false | true'}, {name: two, run: echo never}]}}"
	job, err := workflow.Read([]byte(text), "deploy", nil)
	if err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("sh", "-s")
	shell.Stdin = strings.NewReader(job.Script)
	if out, err := shell.CombinedOutput(); err == nil || string(out) != "== one\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhatMakesNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"jobs: {other: {steps: []}}": `no job "deploy"`,
		"jobs: {deploy: {steps: [{name: s, run: 'echo ${{ secrets.KEY }}'}]}}":               "secrets.KEY",
		"jobs: {deploy: {env: {A: '${{ hashFiles(1) }}'}, steps: []}}":                       "hashFiles(1)",
		"jobs: {deploy: {steps: [{name: s, run: x, env: {A: '${{ steps.a.outputs.b }}'}}]}}": "steps.a.outputs.b",
		"jobs: [": "read workflow",
	} {
		if _, err := workflow.Read([]byte(text), "deploy", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
