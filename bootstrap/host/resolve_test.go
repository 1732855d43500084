package host_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

const sshConfig = `
Host oldpc
	HostName 192.0.2.7
	User anna
	Port 2222
	IdentityFile ~/.ssh/old_key
	IdentitiesOnly yes
	UserKnownHostsFile ~/.ssh/known_old
	HostKeyAlias the-old-one
	ProxyJump gate,berta@inner.example:2022

Host gate
	HostName gate.example
	User carol
	ProxyJump outer

Host outer
	HostName 198.51.100.1

Host inner.example
	ProxyJump nowhere

Host round
	HostName 192.0.2.8
	ProxyJump about

Host about
	HostName 192.0.2.9
	ProxyJump round

Host command
	HostName 192.0.2.10
	ProxyCommand nc %h %p

Host *
	User everybody
`

// resolvers runs a test with OpenSSH's help, if it is there, and without.
func resolvers(t *testing.T, test func(t *testing.T, o host.ResolveOptions)) {
	home := t.TempDir()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, ".ssh", "config")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(sshConfig, "~", home)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, no := range []bool{false, true} {
		name := map[bool]string{false: "ssh -G", true: "library"}[no]
		t.Run(name, func(t *testing.T) {
			test(t, host.ResolveOptions{Home: home, User: "me", ConfigFile: file, NoSSH: no})
		})
	}
}

func TestAnAliasIsResolvedWithAllItsJumps(t *testing.T) {
	resolvers(t, func(t *testing.T, o host.ResolveOptions) {
		got, err := host.ResolveTarget(t.Context(), "oldpc", nil, o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != "oldpc" || got.User != "anna" || got.Addr != "192.0.2.7" || got.Port != 2222 || got.HostKeyAlias != "the-old-one" ||
			!got.IdentitiesOnly || got.KnownHostsFiles[0] != filepath.Join(o.Home, ".ssh/known_old") ||
			!reflect.DeepEqual(got.IdentityFiles, []string{filepath.Join(o.Home, ".ssh/old_key")}) {
			t.Errorf("got %+v", got)
		}
		var hops []string
		for _, j := range got.Jumps {
			hops = append(hops, j.String())
		}
		want := "outer (everybody@198.51.100.1:22) gate (carol@gate.example:22) berta@inner.example:2022 (berta@inner.example:2022)"
		if strings.Join(hops, " ") != want {
			t.Errorf("jumps %q\nwant  %q", strings.Join(hops, " "), want)
		}
	})
}

func TestAConfiguredHostComesBeforeSSHsConfiguration(t *testing.T) {
	resolvers(t, func(t *testing.T, o host.ResolveOptions) {
		known := map[string]host.TargetConfig{
			"pc":    {Address: "oldpc", User: "root", HostKey: "SHA256:abc", KnownHostsFile: "~/known", IdentityFiles: []string{"~/k"}, Jump: []string{"hop"}},
			"hop":   {Address: "203.0.113.5", Port: 99},
			"plain": {Address: "[2001:db8::1]", Port: 24, User: "u"},
		}
		got, err := host.ResolveTarget(t.Context(), "pc", known, o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != "pc" || got.User != "root" || got.Addr != "192.0.2.7" || got.Port != 2222 || got.HostKeys[0] != "SHA256:abc" ||
			got.KnownHostsFiles[0] != filepath.Join(o.Home, "known") || got.IdentityFiles[0] != filepath.Join(o.Home, "k") ||
			len(got.Jumps) != 1 || got.Jumps[0].Port != 99 || got.Jumps[0].User != "everybody" {
			t.Errorf("got %+v", got)
		}
		o.HostKeys = []string{"SHA256:new"}
		got, err = host.ResolveTarget(t.Context(), "pc", known, o)
		if err != nil || len(got.HostKeys) != 1 || got.HostKeys[0] != "SHA256:new" || len(got.Jumps[0].HostKeys) != 0 {
			t.Errorf("with --host-key: %+v, %v", got, err)
		}
		got, err = host.ResolveTarget(t.Context(), "plain", known, o)
		if err != nil || got.Addr != "2001:db8::1" || got.Port != 24 || got.User != "u" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	resolvers(t, func(t *testing.T, o host.ResolveOptions) {
		for word, want := range map[string]string{
			"me@192.0.2.1":           "me@192.0.2.1:22",
			"me@192.0.2.1:2200":      "me@192.0.2.1:2200",
			"me@[2001:db8::2]:2200":  "me@[2001:db8::2]:2200",
			"me@[2001:db8::2]":       "me@[2001:db8::2]:22",
			"me@2001:db8::2":         "me@[2001:db8::2]:22",
			"192.0.2.1":              "everybody@192.0.2.1:22",
			"me@box.example.invalid": "me@box.example.invalid:22",
		} {
			got, err := host.ResolveTarget(t.Context(), word, nil, o)
			if err != nil {
				t.Errorf("%s: %v", word, err)
				continue
			}
			if address := got.String(); address != want {
				t.Errorf("%s: got %s, want %s", word, address, want)
			}
		}
	})
}

func TestWhatIsNoHost(t *testing.T) {
	resolvers(t, func(t *testing.T, o host.ResolveOptions) {
		for word, want := range map[string]fault.Code{
			"no-such-host-anywhere.invalid": fault.HostUnknown, "@x": fault.HostUnknown, "": fault.HostUnknown, "u@": fault.HostUnknown,
			"u@h:port": fault.HostUnknown, "u@h:70000": fault.HostUnknown, "u@-oProxyCommand=x": fault.HostUnknown, "a b": fault.HostUnknown,
			"round": fault.ConfigInvalid, "command": fault.ConfigInvalid,
		} {
			_, err := host.ResolveTarget(t.Context(), word, nil, o)
			if fault.CodeOf(err) != want || fault.ExitOf(err) != fault.ExitUsage {
				t.Errorf("%q: got %v, want %s", word, err, want)
			}
		}
	})
}
