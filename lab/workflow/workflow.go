// Package workflow turns a job of a GitHub Actions workflow into a shell script,
// for a lab whose runner runs no jobs.
//
// It keeps the promise that what is run is what the workflow says: the shell of
// each step in its own bash, with the variables of workflow, job and step, and
// what one step hands to the next. An expression that it cannot make sense of is
// an error and never an empty word.
package workflow

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

type file struct {
	Env  map[string]string `json:"env"`
	Jobs map[string]job    `json:"jobs"`
}

type job struct {
	Env   map[string]string `json:"env"`
	Steps []step            `json:"steps"`
}

type step struct {
	Name   string            `json:"name"`
	If     string            `json:"if"`
	Uses   string            `json:"uses"`
	Run    string            `json:"run"`
	Folder string            `json:"working-directory"`
	Env    map[string]string `json:"env"`
}

// Job is what a job comes down to.
type Job struct {
	// Script runs the steps that have a shell, one after the other, and ends with
	// the first that fails.
	Script string
	// Uses are the actions that would have run as well.
	Uses []string
}

// Read returns one job of a workflow. Values are what expressions stand for, by
// their names, such as github.sha.
func Read(text []byte, name string, values map[string]string) (Job, error) {
	var f file
	if err := yaml.Unmarshal(text, &f); err != nil {
		return Job{}, fmt.Errorf("read workflow: %w", err)
	}
	one, there := f.Jobs[name]
	if !there {
		return Job{}, fmt.Errorf("read workflow: no job %q among %v", name, slices.Sorted(maps.Keys(f.Jobs)))
	}
	e := expressions{values: maps.Clone(values)}
	if e.values == nil {
		e.values = map[string]string{}
	}
	var script strings.Builder
	script.WriteString(head)
	var problems []error
	problems = append(problems, e.export(&script, f.Env), e.export(&script, one.Env))
	var uses []string
	for i, s := range one.Steps {
		switch {
		case onlyAfterFailure(s.If):
		case s.Uses != "":
			uses = append(uses, s.Uses)
		default:
			problems = append(problems, e.step(&script, i+1, s))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Job{}, fmt.Errorf("read job %s: %w", name, err)
	}
	return Job{Script: script.String(), Uses: uses}, nil
}

// head makes the files by which steps talk to the runner and to each other.
const head = `set -eu
RUNNER_TEMP=$(mktemp -d)
trap 'rm -rf "$RUNNER_TEMP"' EXIT
export RUNNER_TEMP GITHUB_WORKSPACE="$PWD" GITHUB_ACTIONS=true CI=true
export GITHUB_ENV="$RUNNER_TEMP/env" GITHUB_PATH="$RUNNER_TEMP/path" GITHUB_OUTPUT="$RUNNER_TEMP/output" GITHUB_STEP_SUMMARY="$RUNNER_TEMP/summary"
: >"$GITHUB_ENV"; : >"$GITHUB_PATH"; : >"$GITHUB_OUTPUT"; : >"$GITHUB_STEP_SUMMARY"
`

// onlyAfterFailure tells a step that a job without failures leaves out.
func onlyAfterFailure(condition string) bool {
	return strings.Contains(condition, "failure()") || strings.Contains(condition, "cancelled()") && !strings.Contains(condition, "!cancelled()")
}

// step adds one step: its variables are its own.
func (e expressions) step(to *strings.Builder, number int, s step) error {
	body, err := e.fill(s.Run)
	if err != nil {
		return fmt.Errorf("step %d (%s): %w", number, s.Name, err)
	}
	fmt.Fprintf(to, "echo %s\ncat >\"$RUNNER_TEMP/step.sh\" <<'END_OF_STEP_%d'\n%s\nEND_OF_STEP_%[2]d\n(\n", quote("== "+s.Name), number, strings.TrimRight(body, "\n"))
	inner := expressions{values: maps.Clone(e.values)}
	if err := inner.export(to, s.Env); err != nil {
		return fmt.Errorf("step %d (%s): %w", number, s.Name, err)
	}
	if s.Folder != "" {
		fmt.Fprintf(to, "cd %s\n", quote(s.Folder))
	}
	to.WriteString(`exec bash --noprofile --norc -eo pipefail "$RUNNER_TEMP/step.sh" </dev/null
)
while IFS= read -r line; do export "$line"; done <"$GITHUB_ENV"
while IFS= read -r line; do PATH="$line:$PATH"; done <"$GITHUB_PATH"
`)
	return nil
}

// expressions knows what expressions stand for.
type expressions struct{ values map[string]string }

// export adds variables, which later expressions may name.
func (e expressions) export(to *strings.Builder, env map[string]string) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value, err := e.fill(env[name])
		problems = append(problems, err)
		e.values["env."+name] = value
		fmt.Fprintf(to, "export %s=%s\n", name, quote(value))
	}
	return errors.Join(problems...)
}

// fill puts in what the expressions of a text stand for.
func (e expressions) fill(text string) (string, error) {
	var problems []error
	filled := regexp.MustCompile(`\$\{\{(.*?)\}\}`).ReplaceAllStringFunc(text, func(whole string) string {
		value, err := e.value(strings.TrimSpace(whole[3 : len(whole)-2]))
		problems = append(problems, err)
		return value
	})
	return filled, errors.Join(problems...)
}

// value is what one expression stands for: a name, a word, or the first of
// several that is not empty.
func (e expressions) value(expression string) (string, error) {
	last := ""
	for part := range strings.SplitSeq(expression, "||") {
		part = strings.TrimSpace(part)
		value, known := e.values[part]
		if word, ok := strings.CutPrefix(part, "'"); ok && strings.HasSuffix(word, "'") {
			value, known = strings.TrimSuffix(word, "'"), true
		}
		if !known {
			return "", fmt.Errorf("no value for ${{ %s }}", expression)
		}
		if last = value; value != "" {
			break
		}
	}
	return last, nil
}

// quote makes one word of a text for the shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
