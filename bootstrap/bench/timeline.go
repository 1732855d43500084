package bench

import (
	"cmp"
	"slices"
)

// Timeline is a deployment moment by moment: from nothing to all Ready.
type Timeline struct {
	// Method is observed, to a tenth of a second, or kubelet, to a second.
	Method  string  `json:"method" jsonschema:"enum=observed,enum=kubelet"`
	Seconds float64 `json:"seconds" jsonschema_description:"From the first object to the last Ready pod."`
	Spans   []Span  `json:"spans"`
}

// Span is one stretch of one pod's way. From and To are in seconds since the
// deployment began.
type Span struct {
	Component string  `json:"component"`
	Phase     Phase   `json:"phase" jsonschema:"enum=image,enum=init,enum=start,enum=ready"`
	Name      string  `json:"name,omitempty"`
	From      float64 `json:"from"`
	To        float64 `json:"to"`
}

// Phase is what a pod does in a span.
type Phase string

// The phases: the pod is given its place, its volumes and its image; an init
// container runs; the program boots; it serves and Kubernetes does not know it
// yet.
const (
	PhaseImage Phase = "image"
	PhaseInit  Phase = "init"
	PhaseStart Phase = "start"
	PhaseReady Phase = "ready"
)

// The methods.
const (
	MethodAlone   = "alone"
	MethodRelease = "release"
	MethodScratch = "scratch"
	MethodKubelet = "kubelet"
	MethodSeen    = "observed"
	MethodLink    = "link"
	MethodDirect  = "direct"
)

// podTimes are the moments of one pod, in seconds since the deployment began.
type podTimes struct {
	component string
	inits     []Span
	started   float64
	serves    float64
	ready     float64
}

// spans lays a pod's moments end to end.
func (p podTimes) spans() []Span {
	var out []Span
	slices.SortFunc(p.inits, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	first := p.started
	if len(p.inits) > 0 {
		first = p.inits[0].From
	}
	add := func(s Span) {
		if s.Component = p.component; s.To > s.From {
			out = append(out, s)
		}
	}
	add(Span{Phase: PhaseImage, From: 0, To: first})
	for _, s := range p.inits {
		add(s)
	}
	add(Span{Phase: PhaseStart, From: p.started, To: p.serves})
	add(Span{Phase: PhaseReady, From: p.serves, To: p.ready})
	return out
}

// sort puts those that were ready first above the others.
func (t *Timeline) sort() {
	last := map[string]float64{}
	for _, s := range t.Spans {
		last[s.Component] = max(last[s.Component], s.To)
	}
	slices.SortStableFunc(t.Spans, func(a, b Span) int {
		return cmp.Or(cmp.Compare(last[a.Component], last[b.Component]), cmp.Compare(a.Component, b.Component), cmp.Compare(a.From, b.From))
	})
}
