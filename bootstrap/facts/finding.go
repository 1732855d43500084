package facts

// Grade says how much a finding weighs.
type Grade string

// The grades, from harmless to final. A box with a Refuse cannot carry the
// cluster as it is.
const (
	OK     Grade = "ok"
	Note   Grade = "note"
	Warn   Grade = "warn"
	Refuse Grade = "refuse"
)

// Finding is one judgement on the box. Remedy is what to do about it; it is
// empty only where nothing needs doing.
type Finding struct {
	Grade  Grade  `json:"grade"`
	Check  string `json:"check"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Refused returns the findings that speak against the box.
func Refused(findings []Finding) []Finding {
	var out []Finding
	for _, f := range findings {
		if f.Grade == Refuse {
			out = append(out, f)
		}
	}
	return out
}
