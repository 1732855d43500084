package runner

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// compareVersions compares versions like 2.336.0; what is no version is older
// than any.
func compareVersions(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }

func numbers(version string) []int {
	var out []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}

// tail is the end of a program's output, without a secret and without what
// would upset a terminal.
func tail(text, secret string, lines int) string {
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	all := strings.Split(strings.TrimSpace(text), "\n")
	all = slices.DeleteFunc(all, func(l string) bool { return strings.TrimSpace(l) == "" })
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// or joins two words of a sentence.
func or(text, fallback string) string { return cmp.Or(text, fallback) }
