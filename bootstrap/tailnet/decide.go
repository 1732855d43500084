package tailnet

import (
	"slices"
	"strings"
)

// want is what the node should be.
type want struct {
	name string
	tags []string
	// settings are the flags that `tailscale up` gets, the key left out.
	settings string
}

// action is the one thing to do next.
type action string

// The actions. Only join takes a key.
const (
	nothing  action = "nothing"
	join     action = "join"
	comeBack action = "come back"
	renew    action = "renew"
	adjust   action = "adjust"
	retag    action = "retag"
	approve  action = "approve"
	await    action = "await"
	refuse   action = "refuse"
)

// decision is an action and the reason for it.
type decision struct {
	action action
	why    string
}

// decide is the table of what follows from what tailscaled says. A node that
// has joined never gets to join: with a key that is spent, `tailscale up`
// breaks what works.
func decide(s seen, w want) decision {
	d := s.daemon
	if d == nil {
		return silent(s)
	}
	switch d.BackendState {
	case stateRunning:
		return running(s, w)
	case stateNeedsLogin:
		if d.HaveNodeKey {
			return decision{join, "its node key is no longer accepted"}
		}
		return decision{join, "not in the tailnet"}
	case stateStopped:
		return decision{comeBack, "stopped by `tailscale down`"}
	case stateNone:
		if d.HaveNodeKey {
			return decision{comeBack, "has its node key and is not connected"}
		}
		return decision{join, "not in the tailnet"}
	case stateNeedsConsent:
		return decision{approve, "waits for approval"}
	case stateStarting:
		return decision{await, "is connecting"}
	}
	return decision{refuse, "is in the state " + d.BackendState}
}

func silent(s seen) decision {
	if s.kept {
		return decision{await, "comes back with the keys that it has"}
	}
	return decision{join, "not in the tailnet"}
}

func running(s seen, w want) decision {
	switch text := s.daemon.loggedOut(); {
	case text != "":
		// A spent key was used: the old session goes on until tailscaled
		// restarts, and after that it finds back to its own without a key.
		return decision{renew, text}
	case s.daemon.Self == nil:
		return decision{await, "knows nothing of itself yet"}
	case !contains(s.daemon.Self.Tags, w.tags):
		// Before the settings: asking for other tags by them would be a new
		// login.
		return decision{retag, "tags " + list(s.daemon.Self.Tags) + " → " + list(w.tags)}
	case s.settings != w.settings:
		return decision{adjust, "its settings are not the ones that are wanted"}
	}
	return decision{nothing, ""}
}

func contains(has, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(t string) bool { return !slices.Contains(has, t) })
}

func list(tags []string) string {
	if len(tags) == 0 {
		return "none"
	}
	return strings.Join(tags, ",")
}
