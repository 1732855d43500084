package host

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// includesWithin is how deep ssh follows files that include others.
const includesWithin = 16

// Aliases are the hosts that ~/.ssh/config names one by one, for completion: a
// pattern is no name, and what cannot be read names nothing.
func Aliases(home string) []string {
	found := aliasesIn(filepath.Join(home, ".ssh", "config"), home, includesWithin)
	slices.Sort(found)
	return slices.Compact(found)
}

func aliasesIn(file, home string, depth int) []string {
	f, err := os.Open(file)
	if err != nil || depth == 0 {
		return nil
	}
	defer f.Close()
	var out []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(strings.Replace(lines.Text(), "=", " ", 1))
		if len(words) < 2 {
			continue
		}
		switch strings.ToLower(words[0]) {
		case "host":
			out = append(out, slices.DeleteFunc(words[1:], isPattern)...)
		case "include":
			for _, w := range words[1:] {
				for _, path := range included(w, home) {
					out = append(out, aliasesIn(path, home, depth-1)...)
				}
			}
		}
	}
	return out
}

func isPattern(word string) bool { return strings.ContainsAny(word, `*?!"`) }

// included are the files of an Include, which begins at ~/.ssh.
func included(pattern, home string) []string {
	pattern = strings.Trim(pattern, `"`)
	if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
		pattern = filepath.Join(home, rest)
	} else if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(home, ".ssh", pattern)
	}
	// Its only error is a pattern that is none, which leads nowhere.
	paths, _ := filepath.Glob(pattern)
	return paths
}
