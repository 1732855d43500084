package tailnet

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"tailscale.com/net/tsaddr"
)

// Device is the API's word for a node.
type Device struct {
	ID                 string     `json:"id"`
	NodeID             string     `json:"nodeId"`
	Hostname           string     `json:"hostname"`
	Name               string     `json:"name"`
	Addresses          []string   `json:"addresses"`
	User               string     `json:"user"`
	Tags               []string   `json:"tags,omitempty"`
	Authorized         bool       `json:"authorized"`
	KeyExpiryDisabled  bool       `json:"keyExpiryDisabled"`
	Created            time.Time  `json:"created"`
	Expires            time.Time  `json:"expires"`
	LastSeen           *time.Time `json:"lastSeen,omitempty"` // only of those that are not connected
	ConnectedToControl bool       `json:"connectedToControl"`
	IsEphemeral        bool       `json:"isEphemeral"`
	ClientVersion      string     `json:"clientVersion"`
	OS                 string     `json:"os"`
	MachineKey         string     `json:"machineKey"`
	NodeKey            string     `json:"nodeKey"`
}

// describe says what the API says of a device. The lock is held.
func (s *Server) describe(d *device) Device {
	answer := Device{
		ID: strconv.FormatInt(int64(d.ID), 10), NodeID: d.stableID(), Hostname: d.Hostname, Name: d.Name + "." + Domain,
		Addresses: []string{d.Addr.String(), tsaddr.Tailscale4To6(d.Addr).String()},
		User:      account, Tags: d.Tags, Authorized: d.Authorized, KeyExpiryDisabled: d.ExpiryDisabled,
		Created: d.Created, Expires: d.Expires, ConnectedToControl: s.connected(d), IsEphemeral: d.Ephemeral,
		MachineKey: d.Machine.String(), NodeKey: d.Key.String(),
	}
	if d.Hostinfo != nil {
		answer.ClientVersion, answer.OS = d.Hostinfo.IPNVersion, d.Hostinfo.OS
	}
	if !answer.ConnectedToControl {
		answer.LastSeen = &d.LastSeen
	}
	return answer
}

// Devices lists the nodes as the API does.
func (s *Server) Devices() []Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Device{}
	for _, d := range s.state.Devices {
		list = append(list, s.describe(d))
	}
	return list
}

func (s *Server) listDevices(*http.Request) (any, error) {
	return map[string]any{"devices": s.Devices()}, nil
}

// named finds the device that a path means by either of its numbers. The lock
// is held.
func (s *Server) named(r *http.Request) (*device, error) {
	id := r.PathValue("id")
	d := s.state.find(func(d *device) bool { return d.stableID() == id || strconv.FormatInt(int64(d.ID), 10) == id })
	if d == nil {
		return nil, refuse(http.StatusNotFound, "no manageable device matching this ID found")
	}
	return d, nil
}

func (s *Server) getDevice(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.named(r)
	if err != nil {
		return nil, err
	}
	return s.describe(d), nil
}

// edit changes the device that a path means.
func (s *Server) edit(r *http.Request, do func(st *state, d *device) error) (any, error) {
	return nil, s.change(func(st *state) error {
		d, err := s.named(r)
		if err != nil {
			return err
		}
		return do(st, d)
	})
}

func (s *Server) deleteDevice(r *http.Request) (any, error) {
	return s.edit(r, func(st *state, d *device) error { st.remove(d); return nil })
}

func (s *Server) setTags(r *http.Request) (any, error) {
	var request struct {
		Tags []string `json:"tags"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	return s.edit(r, func(st *state, d *device) error {
		if err := st.mayTag(st.Client.Tags, request.Tags); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
		d.Tags = request.Tags
		return nil
	})
}

func (s *Server) setKey(r *http.Request) (any, error) {
	var request struct {
		KeyExpiryDisabled bool `json:"keyExpiryDisabled"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	return s.edit(r, func(_ *state, d *device) error {
		d.ExpiryDisabled = request.KeyExpiryDisabled
		if !d.ExpiryDisabled && d.expired(s.now()) {
			d.Expires = s.now().Add(userKeyLife)
		}
		return nil
	})
}

func (s *Server) setName(r *http.Request) (any, error) {
	var request struct {
		Name string `json:"name"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	return s.edit(r, func(st *state, d *device) error {
		d.Named = request.Name != ""
		wanted := request.Name
		if !d.Named {
			wanted = d.Hostname
		}
		if d.Named && st.freeName(wanted, d) != label(wanted) {
			return refuse(http.StatusBadRequest, "name %s is already in use", wanted)
		}
		d.Name = st.freeName(wanted, d)
		return nil
	})
}

func (s *Server) setIP(r *http.Request) (any, error) {
	var request struct {
		IPv4 string `json:"ipv4"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	addr, err := netip.ParseAddr(request.IPv4)
	if err != nil || !addr.Is4() || !tsaddr.CGNATRange().Contains(addr) {
		return nil, refuse(http.StatusBadRequest, "%q is not an address of a tailnet", request.IPv4)
	}
	return s.edit(r, func(st *state, d *device) error {
		if st.find(func(other *device) bool { return other != d && other.Addr == addr }) != nil {
			return refuse(http.StatusBadRequest, "IP address %s is in use", addr)
		}
		d.Addr = addr
		return nil
	})
}

func (s *Server) setAuthorized(r *http.Request) (any, error) {
	var request struct {
		Authorized bool `json:"authorized"`
	}
	if err := body(r, &request); err != nil {
		return nil, err
	}
	return s.edit(r, func(_ *state, d *device) error { d.Authorized = request.Authorized; return nil })
}

func (s *Server) expire(r *http.Request) (any, error) {
	return s.edit(r, func(_ *state, d *device) error {
		d.Expires, d.ExpiryDisabled = s.now().Add(-time.Second), false
		return nil
	})
}
