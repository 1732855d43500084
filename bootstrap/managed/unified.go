package managed

import (
	"github.com/rogpeppe/go-internal/diff"
)

// unified shows how the file changes, free of secrets.
func (f File) unified(old []byte) string {
	wanted := f.Content
	if f.Redact != nil {
		old, wanted = f.Redact(old), f.Redact(wanted)
	}
	return string(diff.Diff(f.Path, old, f.Path+" (wanted)", wanted))
}
