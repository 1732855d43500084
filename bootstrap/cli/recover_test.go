package cli

import (
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
)

func TestWhichBackupIsRestored(t *testing.T) {
	begun := facts.K3s{Binary: true, Unit: true, Config: true}
	cluster := facts.K3s{Binary: true, Unit: true, Config: true, Datastore: true}
	for name, c := range map[string]struct {
		k3s  facts.K3s
		mark recovery.Mark
		want string
		id   string
		code fault.Code
	}{
		"a fresh box":                         {facts.K3s{}, recovery.Mark{}, "latest", "latest", ""},
		"k3s's files, from a run that died":   {begun, recovery.Mark{}, "latest", "latest", ""},
		"a cluster that is off":               {cluster, recovery.Mark{}, "latest", "", fault.RestoreRefused},
		"a cluster that runs":                 {facts.K3s{Active: true}, recovery.Mark{}, "latest", "", fault.RestoreRefused},
		"half restored, the same line again":  {cluster, recovery.Mark{ID: "000003", State: true}, "latest", "000003", ""},
		"half restored, without the flag":     {begun, recovery.Mark{ID: "000003"}, "", "000003", ""},
		"half restored, and none is wanted":   {begun, recovery.Mark{ID: "000003"}, noRestore, "", fault.RestoreRefused},
		"restored whole, the same line again": {cluster, recovery.Mark{ID: "000003", State: true, Data: true}, "latest", "", ""},
		"none is wanted":                      {facts.K3s{}, recovery.Mark{}, noRestore, "", ""},
	} {
		s := &session{a: &app{output: "json"}, name: "oldpc", facts: facts.Facts{K3s: c.k3s}}
		id, err := s.chosen(t.Context(), nil, c.mark, c.want)
		var code fault.Code
		if err != nil {
			code = fault.CodeOf(err)
		}
		if id != c.id || code != c.code {
			t.Errorf("%s: got %q, %v", name, id, err)
		}
	}
}
