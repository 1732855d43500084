package control

import (
	"slices"
	"testing"
)

func TestMerge(t *testing.T) {
	base := func() Args { return Args{"event-ttl": one("1h"), "profiling": one("false")} }
	cases := []struct {
		name  string
		extra []string
		want  []string
	}{
		{"nothing", nil, []string{"--event-ttl=1h", "--profiling=false"}},
		{"a value replaces", []string{"event-ttl=30m"}, []string{"--event-ttl=30m", "--profiling=false"}},
		{"dashes do not matter", []string{"--event-ttl=30m"}, []string{"--event-ttl=30m", "--profiling=false"}},
		{"a new flag", []string{"max-requests-inflight=200"}, []string{"--event-ttl=1h", "--max-requests-inflight=200", "--profiling=false"}},
		{"twice is passed twice", []string{"event-ttl=1m", "event-ttl=2m"}, []string{"--event-ttl=1m", "--event-ttl=2m", "--profiling=false"}},
		{"a value with an equals sign", []string{"event-ttl=a=b"}, []string{"--event-ttl=a=b", "--profiling=false"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := base().Merge(c.extra).List(); !slices.Equal(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
		})
	}
}
