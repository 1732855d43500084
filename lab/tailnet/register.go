package tailnet

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"tailscale.com/tailcfg"
)

// userKeyLife is how long the key of a node without tags lasts.
const userKeyLife = 180 * 24 * time.Hour

// register lets a node in, or says why not.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	var request tailcfg.RegisterRequest
	from, err := read(r, &request)
	if err != nil || request.NodeKey.IsZero() || request.Hostinfo == nil {
		http.Error(w, "bad register request", http.StatusBadRequest)
		return
	}
	if request.Followup != "" {
		<-r.Context().Done() // nobody ever logs in by hand here
		return
	}
	answer, wrote, note := s.admit(from, &request)
	s.book.add(Entry{Part: controlPart, Method: r.Method, Path: r.URL.Path, Status: http.StatusOK, Write: wrote, Note: note})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *Server) admit(from caller, request *tailcfg.RegisterRequest) (answer tailcfg.RegisterResponse, wrote bool, note string) {
	now := s.now()
	answer = tailcfg.RegisterResponse{User: user(), Login: login(), MachineAuthorized: true}
	s.mu.Lock()
	known := s.state.byKey(request.NodeKey)
	var was device
	if known != nil {
		was = *known
	}
	s.mu.Unlock()
	if known != nil && was.Machine != from.machine {
		return tailcfg.RegisterResponse{Error: "node key is another machine's"}, false, "another machine's key"
	}
	switch {
	case known != nil && !request.Expiry.IsZero() && request.Expiry.Before(now):
		err := s.change(func(*state) error { known.Expires, known.ExpiryDisabled = request.Expiry, false; return nil })
		answer.NodeKeyExpired = true
		return failed(answer, err), true, "logged out: " + was.Name
	case request.Auth != nil && request.Auth.AuthKey != "":
		name, err := s.enter(from, request, now)
		if err != nil {
			return tailcfg.RegisterResponse{Error: err.Error()}, false, "refused: " + err.Error()
		}
		return answer, true, "let in: " + name
	case known != nil && was.expired(now):
		answer.NodeKeyExpired = true
		return answer, false, "key expired: " + was.Name
	case known != nil:
		return answer, false, "known: " + was.Name
	}
	answer.AuthURL = from.base + "/a/" + randomText(12)
	return answer, false, "to log in by hand"
}

func failed(answer tailcfg.RegisterResponse, err error) tailcfg.RegisterResponse {
	if err != nil {
		return tailcfg.RegisterResponse{Error: err.Error()}
	}
	return answer
}

// enter lets a node in by its auth key and returns its name. A machine that is
// here already stays the device it is.
func (s *Server) enter(from caller, request *tailcfg.RegisterRequest, now time.Time) (name string, err error) {
	err = s.change(func(st *state) error {
		key, err := st.valid(request.Auth.AuthKey, now)
		if err != nil {
			return err
		}
		tags := slices.Clone(key.Tags)
		if wanted := request.Hostinfo.RequestTags; len(wanted) > 0 {
			if err := st.mayTag(key.Tags, wanted); err != nil {
				return err
			}
			tags = slices.Clone(wanted)
		}
		d := st.find(func(d *device) bool { return !d.Held && d.Machine == from.machine })
		if d == nil {
			st.Made++
			d = &device{ID: tailcfg.NodeID(st.Made), Machine: from.machine, Created: now, Addr: st.nextAddr()}
			st.Devices = append(st.Devices, d)
		}
		key.Used = now
		d.Key, d.Tags, d.Ephemeral, d.LastSeen = request.NodeKey, tags, key.Ephemeral, now
		d.Authorized, d.Version, d.Hostinfo = true, request.Version, request.Hostinfo
		d.ExpiryDisabled = len(tags) > 0
		d.Expires = now.Add(userKeyLife)
		st.rename(d, request.Hostinfo.Hostname)
		name = d.Name
		return nil
	})
	return name, err
}

// rename follows the hostname that a node gives itself.
func (st *state) rename(d *device, hostname string) {
	if d.Hostname == hostname && d.Name != "" {
		return
	}
	d.Hostname = hostname
	if !d.Named {
		d.Name = st.freeName(hostname, d)
	}
}

const (
	ownerID  = 1
	taggedID = 2
)

func user() tailcfg.User { return tailcfg.User{ID: ownerID, DisplayName: "Owner"} }
func login() tailcfg.Login {
	return tailcfg.Login{ID: ownerID, Provider: "lab", LoginName: account, DisplayName: "Owner"}
}

func profiles() []tailcfg.UserProfile {
	return []tailcfg.UserProfile{
		{ID: ownerID, LoginName: account, DisplayName: "Owner"},
		{ID: taggedID, LoginName: "tagged-devices", DisplayName: "Tagged Devices"},
	}
}
