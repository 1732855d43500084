package tailnet

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet/tailnettest"
)

func TestWhatATarballMayHold(t *testing.T) {
	const in = "tailscale_1.2.3_amd64/"
	type member = tailnettest.Member
	daemon, client := member{Name: in + "tailscaled", Body: tailnettest.Program("d")}, member{Name: in + "tailscale", Body: tailnettest.Program("c")}
	linkTo := func(name, to string) member { return member{Name: in + name, Link: to, Kind: tar.TypeSymlink} }
	for name, c := range map[string]struct {
		members []member
		files   int
		wrong   string
	}{
		"two programs":             {[]member{{Name: in, Kind: tar.TypeDir}, daemon, client, {Name: in + "systemd/tailscaled.service"}}, 2, ""},
		"one and a link":           {[]member{daemon, linkTo("tailscale", "tailscaled")}, 1, ""},
		"a link before its end":    {[]member{linkTo("tailscale", "tailscaled"), daemon}, 1, ""},
		"the link is the daemon":   {[]member{client, linkTo("tailscaled", "tailscale")}, 1, ""},
		"nothing":                  {nil, 0, "no tailscaled"},
		"no client":                {[]member{daemon}, 0, "no tailscale in"},
		"twice":                    {[]member{daemon, daemon, client}, 0, "twice"},
		"a file and a link":        {[]member{daemon, client, linkTo("tailscale", "tailscaled")}, 0, "twice"},
		"two links":                {[]member{linkTo("tailscale", "tailscaled"), linkTo("tailscaled", "tailscale")}, 0, "no tailscaled"},
		"a link that leads away":   {[]member{daemon, linkTo("tailscale", "/bin/sh")}, 0, "is a link to"},
		"a link that climbs":       {[]member{daemon, linkTo("tailscale", "../tailscaled")}, 0, "is a link to"},
		"another link":             {[]member{daemon, client, linkTo("systemd/x", "tailscaled")}, 0, "is a link to"},
		"a hard link":              {[]member{daemon, {Name: in + "tailscale", Link: in + "tailscaled", Kind: tar.TypeLink}}, 0, "neither a file"},
		"a device":                 {[]member{daemon, client, {Name: in + "x", Kind: tar.TypeChar}}, 0, "neither a file"},
		"outside":                  {[]member{daemon, client, {Name: "etc/passwd"}}, 0, "is not below"},
		"climbing":                 {[]member{daemon, client, {Name: in + "../../etc/passwd"}}, 0, "is not below"},
		"another version":          {[]member{{Name: "tailscale_1.2.4_amd64/tailscaled", Body: tailnettest.Program("d")}}, 0, "is not below"},
		"a script for a program":   {[]member{{Name: in + "tailscaled", Body: []byte("#!/bin/sh\nexit 0 and more text")}, client}, 0, "not a program"},
		"an empty program":         {[]member{{Name: in + "tailscaled"}, client}, 0, "not a program"},
		"a program for an ARM box": {[]member{{Name: in + "tailscaled", Body: append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 11)...)}, client}, 0, "not a program"},
	} {
		got, err := readPrograms(bytes.NewReader(tailnettest.Tarball(c.members...)), "1.2.3")
		switch {
		case c.wrong == "" && (err != nil || len(got.files) != c.files || len(got.files)+len(got.links) != 2):
			t.Errorf("%s: %+v, %v", name, got, err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzReadPrograms(f *testing.F) {
	f.Add(tailnettest.Tarball(tailnettest.Member{Name: "tailscale_1.2.3_amd64/tailscaled", Body: tailnettest.Program("d")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := readPrograms(bytes.NewReader(data), "1.2.3")
		if err != nil {
			return
		}
		for _, p := range c.files {
			if !strings.HasPrefix(p.member, "tailscale_1.2.3_amd64/") || len(p.sha256) != 64 {
				t.Errorf("accepted %+v", p)
			}
		}
	})
}
