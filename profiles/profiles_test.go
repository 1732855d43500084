package profiles

import (
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

func TestEveryBuiltInProfileLoadsUnderItsFilesName(t *testing.T) {
	for _, name := range Names() {
		p, err := Load(name)
		if err != nil {
			t.Fatalf("%v\n%s", err, fault.EvidenceOf(err))
		}
		if p.Name != name {
			t.Errorf("%s.yaml is called %q", name, p.Name)
		}
	}
}
