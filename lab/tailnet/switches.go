package tailnet

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// Turn does what a switch of that name does and returns what there is to say.
func (s *Server) Turn(verb string, args []string) (any, error) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch verb {
	case "up", "down":
		return nil, s.power(verb == "up", args)
	case "devices":
		return s.Devices(), nil
	case "log":
		return s.logSince(arg(0))
	case "expire-keys":
		return nil, s.expireKeys()
	case "new-key":
		return s.newKey(args)
	case "expire", "delete":
		return nil, s.onDevice(verb, arg(0))
	case "hold-name":
		return nil, s.holdName(arg(0), arg(1))
	case "release-name":
		return nil, s.releaseName(arg(0))
	case "fault":
		return nil, s.fault(arg(0), arg(1))
	case "scopes":
		return nil, s.change(func(st *state) error { st.Client.Scopes = args; return nil })
	}
	return nil, fmt.Errorf("the tailnet cannot %q: there are %s", verb, strings.Join(Verbs(), ", "))
}

// Verbs are the names of the switches.
func Verbs() []string {
	return []string{"up", "down", "devices", "log", "expire-keys", "new-key", "expire", "delete", "hold-name", "release-name", "fault", "scopes"}
}

// power takes parts of the tailnet away or brings them back; none named means all.
func (s *Server) power(on bool, parts []string) error {
	if len(parts) == 0 {
		parts = []string{controlPart, apiPart, relayPart}
	}
	for _, part := range parts {
		if s.gates[part] == nil {
			return fmt.Errorf("no part %q: there are %s, %s and %s", part, controlPart, apiPart, relayPart)
		}
	}
	for _, part := range parts {
		s.gates[part].set(!on)
	}
	return nil
}

func (s *Server) logSince(number string) ([]Entry, error) {
	if number == "" {
		number = "0"
	}
	after, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("%q is not the number of an entry", number)
	}
	return s.book.since(after), nil
}

func (s *Server) expireKeys() error {
	return s.change(func(st *state) error {
		for _, key := range st.Keys {
			if key.opens(s.now()) {
				key.Expires = s.now().Add(-time.Second)
			}
		}
		return nil
	})
}

// newKey mints an auth key: words are one-off, expired or a tag (by default
// the homelab's).
func (s *Server) newKey(words []string) (string, error) {
	fresh := labKey()
	fresh.Tags = nil
	life := time.Duration(0)
	for _, word := range words {
		switch {
		case word == "one-off":
			fresh.Reusable = false
		case word == "expired":
			life = time.Nanosecond
		case strings.HasPrefix(word, "tag:"):
			fresh.Tags = append(fresh.Tags, word)
		default:
			return "", fmt.Errorf("a key cannot be %q: one-off, expired or tag:NAME", word)
		}
	}
	if len(fresh.Tags) == 0 {
		fresh.Tags = []string{HomelabTag}
	}
	var secret string
	err := s.change(func(st *state) error {
		secret = st.mint(fresh, life, s.now()).Secret
		return nil
	})
	if err == nil && len(words) == 0 {
		err = s.WriteCredentials() // it replaces the lab's own
	}
	return secret, err
}

func (s *Server) onDevice(verb, name string) error {
	return s.change(func(st *state) error {
		d := st.find(func(d *device) bool { return d.Name == name })
		if d == nil {
			return fmt.Errorf("no device %q", name)
		}
		if verb == "delete" {
			st.remove(d)
			return nil
		}
		d.Expires, d.ExpiryDisabled = s.now().Add(-time.Second), false
		return nil
	})
}

// holdName puts a device in the tailnet that has the name and does nothing
// else; how is live or dead.
func (s *Server) holdName(name, how string) error {
	if name == "" || !slices.Contains([]string{"", "live", "dead"}, how) {
		return errors.New("hold which name, and live or dead?")
	}
	return s.change(func(st *state) error {
		if st.freeName(name, nil) != label(name) {
			return fmt.Errorf("the name %q is taken", name)
		}
		st.Made++
		st.Devices = append(st.Devices, &device{
			ID: tailcfg.NodeID(st.Made), Machine: key.NewMachine().Public(), Key: key.NewNode().Public(),
			Name: label(name), Hostname: name, Tags: []string{HomelabTag}, Authorized: true, Addr: st.nextAddr(),
			Created: s.now(), LastSeen: s.now(), Expires: s.now().Add(userKeyLife), ExpiryDisabled: true, Held: true, HeldLive: how != "dead",
			Hostinfo: &tailcfg.Hostinfo{Hostname: name, OS: "linux"},
		})
		return nil
	})
}

func (s *Server) releaseName(name string) error {
	return s.change(func(st *state) error {
		d := st.find(func(d *device) bool { return d.Held && d.Name == name })
		if d == nil {
			return fmt.Errorf("nobody holds the name %q", name)
		}
		st.remove(d)
		return nil
	})
}

// fault makes the API answer its next requests with a status, one by default.
func (s *Server) fault(status, times string) error {
	code, err := strconv.Atoi(status)
	if err != nil || code < 400 || code > 599 {
		return fmt.Errorf("%q is not the status of an error", status)
	}
	count := 1
	if times != "" {
		if count, err = strconv.Atoi(times); err != nil || count < 1 {
			return fmt.Errorf("%q is not a number of times", times)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.Repeat([]int{code}, count)
	return nil
}

// Credentials are what an installer is given for this tailnet.
type Credentials struct {
	AuthKey      string
	ClientID     string
	ClientSecret string
}

// Credentials returns the lab's, with an auth key that still opens: one of the
// last time, or a new one.
func (s *Server) Credentials() (Credentials, error) {
	s.mu.Lock()
	client, found := s.state.Client, ""
	for _, key := range s.state.Keys {
		if key.Description == "lab" && key.Reusable && slices.Equal(key.Tags, []string{HomelabTag}) && key.opens(s.now()) {
			found = key.Secret
		}
	}
	s.mu.Unlock()
	var err error
	if found == "" {
		err = s.change(func(st *state) error {
			found = st.mint(labKey(), 0, s.now()).Secret
			return nil
		})
	}
	return Credentials{AuthKey: found, ClientID: client.ID, ClientSecret: client.Secret}, err
}

// labKey is what the lab's own auth keys may do.
func labKey() authKey {
	return authKey{Reusable: true, Preauthorized: true, Description: "lab", Tags: []string{HomelabTag}}
}
