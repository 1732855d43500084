// Package workflow writes the CI/CD workflow of the owner's repository.
//
// It keeps the promise that what it prints is what was tested: every action is
// pinned to a commit, no job may do more than it needs, nothing from a pull
// request reaches the box, and the shell of each job can be taken out and run
// as it stands.
package workflow

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/goccy/go-yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

//go:embed deploy.yml.tmpl
var source string

// DeployJob is the job that runs on the box.
const DeployJob = "deploy-k3s"

// Input is what the workflow is made from.
type Input struct {
	// Labels choose the runner, beside self-hosted, linux and x64.
	Labels []string
	// Registry holds the image; the repository's name in lower case follows.
	Registry string
	// Chart is the chart's folder in the repository, beginning with ./ because
	// helm takes a/b for a chart b of a repository a.
	Chart string
	// Release and Namespace are those of the application on the box.
	Release, Namespace string
}

// Render writes the workflow.
func Render(in Input) (string, error) {
	if err := in.check(); err != nil {
		return "", err
	}
	t, err := template.New("deploy.yml").Delims("[[", "]]").Funcs(template.FuncMap{"join": strings.Join}).Parse(source)
	if err != nil {
		return "", fmt.Errorf("read the workflow's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, in); err != nil {
		return "", fmt.Errorf("write the workflow: %w", err)
	}
	return b.String(), nil
}

// check refuses what would mean something else in YAML or in a shell.
func (in Input) check() error {
	const name = `^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`
	for _, c := range []struct{ what, text, pattern string }{
		{"registry", in.Registry, `^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?$`},
		{"chart's folder", in.Chart, `^\./[A-Za-z0-9][A-Za-z0-9._/-]*$`},
		{"release", in.Release, name},
		{"namespace", in.Namespace, name},
	} {
		if !regexp.MustCompile(c.pattern).MatchString(c.text) {
			return fault.New(fault.Usage, "see `ssg-bootstrap workflow --help`", "%q is no %s for a workflow", c.text, c.what)
		}
	}
	for _, l := range in.Labels {
		if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`).MatchString(l) {
			return fault.New(fault.ConfigInvalid, "correct runner.labels in the configuration", "%q is no label for a workflow", l)
		}
	}
	return nil
}

// file is the part of a workflow that Script reads.
type file struct {
	Env  map[string]string `yaml:"env"`
	Jobs map[string]struct {
		Env   map[string]string `yaml:"env"`
		Steps []struct {
			Name string            `yaml:"name"`
			Env  map[string]string `yaml:"env"`
			Run  string            `yaml:"run"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// Script takes the shell out of one job: its run steps one after another, each
// in a shell of its own as the runner does it, with the variables that the
// workflow sets. What GitHub itself sets (GITHUB_SHA, GITHUB_REPOSITORY) comes
// from whoever runs it; an expression of GitHub's in it is an error.
func Script(text, job string) (string, error) {
	var f file
	if err := yaml.Unmarshal([]byte(text), &f); err != nil {
		return "", fmt.Errorf("read the workflow: %s", yaml.FormatError(err, false, false))
	}
	j, ok := f.Jobs[job]
	if !ok {
		var names []string
		for name := range f.Jobs {
			names = append(names, name)
		}
		slices.Sort(names)
		return "", fault.New(fault.Usage, "use one of "+strings.Join(names, ", "), "the workflow has no job %q", job)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "#!/usr/bin/env bash\n# The shell of the job %s.\nset -eo pipefail\n", job)
	if err := export(&b, "", f.Env, j.Env); err != nil {
		return "", err
	}
	runs := 0
	for _, s := range j.Steps {
		if s.Run == "" {
			continue
		}
		runs++
		if strings.Contains(s.Run, "${{") {
			return "", fmt.Errorf("the step %q has an expression of GitHub's in its shell", s.Name)
		}
		fmt.Fprintf(&b, "\necho %s\n(\nset -eo pipefail\n", quote("== "+s.Name))
		if err := export(&b, s.Name, s.Env); err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s\n)\n", strings.TrimRight(s.Run, "\n"))
	}
	if runs == 0 {
		return "", errors.New("the job " + job + " runs no shell")
	}
	return b.String(), nil
}

func export(b *strings.Builder, step string, sets ...map[string]string) error {
	for _, set := range sets {
		names := make([]string, 0, len(set))
		for name := range set {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if strings.Contains(set[name], "${{") {
				return fmt.Errorf("the variable %s of %q is an expression of GitHub's", name, step)
			}
			fmt.Fprintf(b, "export %s=%s\n", name, quote(set[name]))
		}
	}
	return nil
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
