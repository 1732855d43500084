// Package debian fetches packages of another Debian release than the machine's
// own. It promises to leave the machine's apt alone: its lists and files are in
// a folder of their own, and the archive is the one that the machine already
// uses, with the same keys.
package debian

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoSources means that the machine's apt has no Debian archive to start from.
var ErrNoSources = errors.New("no Debian archive among the machine's apt sources")

// Sources returns the machine's own Debian sources for another suite, as the
// content of a deb822 file. etc is the machine's /etc. Those of Ubuntu and other
// relatives look alike and lead elsewhere.
func Sources(etc, suite string) (string, error) {
	system, codename, err := machineRelease(filepath.Join(etc, "os-release"))
	if err != nil {
		return "", fmt.Errorf("read apt sources: %w", err)
	}
	if system != "debian" {
		return "", fmt.Errorf("%w: this is %s", ErrNoSources, system)
	}
	var found []string
	for _, pattern := range []string{"apt/sources.list", "apt/sources.list.d/*.list", "apt/sources.list.d/*.sources"} {
		files, err := filepath.Glob(filepath.Join(etc, pattern))
		if err != nil {
			return "", fmt.Errorf("read apt sources: %w", err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("read apt sources: %w", err)
			}
			if filepath.Ext(file) == ".sources" {
				found = append(found, stanzas(string(content), codename, suite)...)
			} else {
				found = append(found, lines(string(content), codename, suite)...)
			}
		}
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%w: looked for suite %s", ErrNoSources, codename)
	}
	return strings.Join(found, "\n"), nil
}

// machineRelease names the system and its release, for the latter is what its
// sources say where ours are to say another.
func machineRelease(path string) (system, codename string, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(content)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch value = strings.Trim(value, `"`); key {
		case "ID":
			system = value
		case "VERSION_CODENAME":
			codename = value
		}
	}
	if system == "" || codename == "" {
		return "", "", fmt.Errorf("%s lacks ID or VERSION_CODENAME", path)
	}
	return system, codename, nil
}

// stanzas translates the deb822 stanzas that serve codename.
func stanzas(content, codename, suite string) []string {
	var out []string
	for stanza := range strings.SplitSeq(content, "\n\n") {
		fields := parseStanza(stanza)
		suites := translate(strings.Fields(fields["suites"]), codename, suite)
		if len(suites) == 0 || !strings.Contains(fields["types"], "deb") || fields["enabled"] == "no" || !official(fields["components"]) {
			continue
		}
		out = append(out, stanzaText(fields["uris"], suites, fields["components"], fields["signed-by"]))
	}
	return out
}

func parseStanza(stanza string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(stanza) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, " ") {
			continue
		}
		fields[strings.ToLower(key)] = strings.TrimSpace(value)
	}
	return fields
}

// lines translates the one-line entries that serve codename.
func lines(content, codename, suite string) []string {
	var out []string
	for line := range strings.Lines(content) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		options := ""
		if inner, after, found := strings.Cut(strings.TrimSpace(rest), "]"); found && strings.HasPrefix(inner, "[") {
			options, rest = inner[1:], after
		}
		words := strings.Fields(rest)
		if len(words) < 3 {
			continue
		}
		if suites := translate(words[1:2], codename, suite); len(suites) > 0 && official(strings.Join(words[2:], " ")) {
			out = append(out, stanzaText(words[0], suites, strings.Join(words[2:], " "), signedBy(options)))
		}
	}
	return out
}

func signedBy(options string) string {
	for option := range strings.FieldsSeq(options) {
		if key, ok := strings.CutPrefix(option, "signed-by="); ok {
			return strings.Trim(key, `"`)
		}
	}
	return ""
}

// translate keeps the release itself, its updates and its security fixes;
// backports and the suites of other publishers stay behind.
func translate(suites []string, codename, suite string) []string {
	var out []string
	for _, name := range suites {
		switch name {
		case codename, codename + "-updates", codename + "-security":
			out = append(out, suite+strings.TrimPrefix(name, codename))
		}
	}
	return out
}

// official tells Debian's own archive from others that name their suites after
// its releases: only the former has a component called main.
func official(components string) bool {
	return slices.Contains(strings.Fields(components), "main")
}

func stanzaText(uris string, suites []string, components, signedBy string) string {
	text := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n", uris, strings.Join(suites, " "), components)
	if signedBy != "" {
		text += "Signed-By: " + signedBy + "\n"
	}
	return text
}
