package tailnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"tailscale.com/net/tsaddr"
	"tailscale.com/tailcfg"
	"tailscale.com/util/zstdframe"
)

// keepAlive is shorter than the two minutes after which a node gives up.
const keepAlive = 50 * time.Second

// poll takes what a node says of itself and, when it asks for that, tells it of
// the tailnet as long as it listens.
func (s *Server) poll(w http.ResponseWriter, r *http.Request) {
	var request tailcfg.MapRequest
	from, err := read(r, &request)
	if err != nil {
		http.Error(w, "bad map request", http.StatusBadRequest)
		return
	}
	stream := mapStream{w: w, compress: request.Compress != ""}
	d := s.caller(from, &request)
	if d == nil {
		_ = stream.send(s.farewell(0)) // who is gone misses nothing
		return
	}
	// A streaming request says nothing of the node; others do.
	if !request.ReadOnly && !request.Stream {
		if err := s.update(d, &request); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	if !request.Stream || request.ReadOnly {
		answer, _, _ := s.netmap(d.ID, from.way, request.OmitPeers)
		_ = stream.send(answer) // who is gone misses nothing
		return
	}
	s.enterPoll(d, 1)
	defer s.enterPoll(d, -1)
	s.stream(r.Context(), stream, d.ID, from.way)
}

// caller finds the device that asks.
func (s *Server) caller(from caller, request *tailcfg.MapRequest) *device {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.state.byKey(request.NodeKey)
	if d == nil || d.Machine != from.machine {
		return nil
	}
	return d
}

// update notes what a node says of itself.
func (s *Server) update(d *device, request *tailcfg.MapRequest) error {
	return s.change(func(st *state) error {
		d.Endpoints, d.Disco, d.Version, d.LastSeen = request.Endpoints, request.DiscoKey, request.Version, s.now()
		info := request.Hostinfo
		if info == nil {
			return nil
		}
		if info.NetInfo != nil && info.NetInfo.PreferredDERP != 0 {
			d.HomeRelay = info.NetInfo.PreferredDERP
		}
		if wanted := info.RequestTags; len(wanted) > 0 && !slices.Equal(wanted, d.Tags) {
			if st.mayTag(d.Tags, wanted) == nil {
				d.Tags = slices.Clone(wanted)
			} else {
				// As the real one does: the node has to log in again.
				d.Expires, d.ExpiryDisabled = s.now().Add(-time.Minute), false
			}
		}
		d.Hostinfo = info
		st.rename(d, info.Hostname)
		return nil
	})
}

func (s *Server) enterPoll(d *device, by int) {
	// Nothing of this is kept, so it cannot fail but for the disk.
	if err := s.change(func(*state) error { s.polls[d.ID] += by; d.LastSeen = s.now(); return nil }); err != nil {
		s.log.Error("a node came or went", "err", err)
	}
}

// stream tells a node of the tailnet, and again after each change that matters
// to it, until it hangs up or is no device any more.
func (s *Server) stream(ctx context.Context, stream mapStream, id tailcfg.NodeID, by way) {
	var last []byte
	for {
		answer, changed, gone := s.netmap(id, by, false)
		content, err := json.Marshal(answer)
		if err != nil {
			s.log.Error("describe the tailnet", "err", err)
			return
		}
		if !bytes.Equal(content, last) {
			if stream.write(content) != nil {
				return
			}
			last = content
		}
		if gone || !s.rest(ctx, stream, changed) {
			return
		}
	}
}

// rest waits for a change and tells whether the node still listens.
func (s *Server) rest(ctx context.Context, stream mapStream, changed <-chan struct{}) bool {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			return true
		case <-alive.C:
			if stream.send(&tailcfg.MapResponse{KeepAlive: true}) != nil {
				return false
			}
		}
	}
}

// netmap is the tailnet as one node sees it, and what is closed when it may
// have changed.
func (s *Server) netmap(id tailcfg.NodeID, by way, omitPeers bool) (answer *tailcfg.MapResponse, changed <-chan struct{}, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	self := s.state.find(func(d *device) bool { return d.ID == id })
	if self == nil {
		return s.farewell(id), s.changed, true
	}
	node := s.node(self)
	node.CapMap = tailcfg.NodeCapMap{}
	if by == fromWorkstation {
		// It is on loopback, where nobody answers to UDP.
		node.CapMap[tailcfg.NodeAttrOnlyTCP443] = nil
	}
	answer = &tailcfg.MapResponse{
		Node:            node,
		DERPMap:         s.relays(by),
		Domain:          account,
		CollectServices: "false",
		PacketFilter:    tailcfg.FilterAllowAll,
		DNSConfig:       &tailcfg.DNSConfig{Proxied: true, Domains: []string{Domain}},
		UserProfiles:    profiles(),
	}
	if omitPeers {
		return answer, s.changed, false
	}
	answer.Peers = []*tailcfg.Node{}
	for _, d := range s.state.Devices {
		if d != self && !d.Held {
			answer.Peers = append(answer.Peers, s.node(d))
		}
	}
	return answer, s.changed, false
}

// farewell tells a node that was deleted that its key has expired, for that is
// what makes it ask to be logged in again.
func (s *Server) farewell(id tailcfg.NodeID) *tailcfg.MapResponse {
	return &tailcfg.MapResponse{Node: &tailcfg.Node{
		ID: id, KeyExpiry: s.now().Add(-time.Minute), Expired: true, MachineAuthorized: true,
	}}
}

// node describes a device. The lock is held.
func (s *Server) node(d *device) *tailcfg.Node {
	addresses := []netip.Prefix{netip.PrefixFrom(d.Addr, 32), netip.PrefixFrom(tsaddr.Tailscale4To6(d.Addr), 128)}
	online := s.connected(d)
	node := &tailcfg.Node{
		ID: d.ID, StableID: tailcfg.StableNodeID(d.stableID()), Name: d.Name + "." + Domain + ".",
		User: ownerID, Key: d.Key, Machine: d.Machine, DiscoKey: d.Disco,
		Addresses: addresses, AllowedIPs: addresses, Endpoints: d.Endpoints, HomeDERP: d.HomeRelay,
		Hostinfo: d.Hostinfo.View(), Created: d.Created, Cap: d.Version, Tags: d.Tags,
		MachineAuthorized: d.Authorized, Online: &online, Expired: d.expired(s.now()),
	}
	if len(d.Tags) > 0 {
		node.User = taggedID
	}
	if !d.ExpiryDisabled {
		node.KeyExpiry = d.Expires
	}
	return node
}

// mapStream writes messages as a poll's answer.
type mapStream struct {
	w        http.ResponseWriter
	compress bool
}

func (m mapStream) send(answer *tailcfg.MapResponse) error {
	content, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return m.write(content)
}

func (m mapStream) write(content []byte) error {
	if m.compress {
		content = zstdframe.AppendEncode(nil, content, zstdframe.FastestCompression)
	}
	framed := binary.LittleEndian.AppendUint32(nil, uint32(len(content)))
	if _, err := m.w.Write(append(framed, content...)); err != nil {
		return err
	}
	return http.NewResponseController(m.w).Flush()
}
