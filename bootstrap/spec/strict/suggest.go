package strict

import (
	"maps"
	"slices"
	"strings"

	"github.com/lithammer/fuzzysearch/fuzzy"
)

// suggest returns what the user may have meant, or the keys that there are.
func suggest[V any](key string, known map[string]V) string {
	names := slices.Sorted(maps.Keys(known))
	if best, ok := Closest(key, names); ok {
		return "; did you mean " + best + "?"
	}
	return "; known here: " + strings.Join(names, ", ")
}

// Closest returns the name that a mistyped one most likely stands for: the
// same letters in another spelling, or few letters that differ.
func Closest(key string, names []string) (string, bool) {
	best, least := "", len(key)/3+1
	for _, name := range names {
		if plain(name) == plain(key) {
			return name, true
		}
		if distance := fuzzy.LevenshteinDistance(plain(key), plain(name)); distance < least || distance == least && best == "" {
			best, least = name, distance
		}
	}
	return best, best != ""
}

// plain makes host_key, host-key and hostKey the same.
func plain(key string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
}
