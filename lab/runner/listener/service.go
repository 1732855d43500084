package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// Limits of the names of units.
const (
	unitNameMax   = 150
	repositoryMax = 70
)

// unitName is the name of the runner's service. Names that are too long end in
// a random number, so it cannot be computed again: it is kept in .service.
func unitName(repository, runner string) string {
	name := func(repository, runner string) string {
		return strings.ReplaceAll(fmt.Sprintf("actions.runner.%s.%s.service", repository, runner), " ", "_")
	}
	whole := name(repository, runner)
	if len(whole) <= unitNameMax {
		return whole
	}
	suffix := fmt.Sprintf("-%d", 1000+rand.IntN(9000))
	repository = repository[:min(len(repository), repositoryMax)]
	room := unitNameMax - len(name(repository, suffix))
	return name(repository, runner[:min(len(runner), room)]+suffix)
}

// unitRepository is what a unit's name says of the repository. Only at
// github.com itself it comes from the repository's address; elsewhere from the
// first part of the service's path, whatever that is.
func unitRepository(s settings) string {
	safe := func(text string) string { return regexp.MustCompile(`[^0-9A-Za-z._-]`).ReplaceAllString(text, "-") }
	server, err := url.Parse(s.ServerURL)
	if err != nil {
		return ""
	}
	if strings.HasSuffix(server.Hostname(), ".githubusercontent.com") {
		if repository, err := url.Parse(s.GitHubURL); err == nil {
			return safe(strings.Trim(repository.Path, "/"))
		}
	}
	first, _, _ := strings.Cut(strings.Trim(server.Path, "/"), "/")
	return safe(first)
}

// writeServiceScript makes svc.sh, which is not part of the package.
func (i installation) writeServiceScript(s settings) error {
	template, err := os.ReadFile(i.file("bin", "systemd.svc.sh.template"))
	if err != nil {
		return fmt.Errorf("write svc.sh: %w", err)
	}
	repository := unitRepository(s)
	script := strings.NewReplacer(
		"{{SvcNameVar}}", unitName(repository, s.AgentName),
		"{{SvcDescription}}", fmt.Sprintf("GitHub Actions Runner (%s.%s)", repository, s.AgentName),
	).Replace(string(template))
	if err := os.WriteFile(i.file("svc.sh"), []byte(script), 0o755); err != nil {
		return fmt.Errorf("write svc.sh: %w", err)
	}
	return nil
}
