package tailnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// state is what outlives the process.
type state struct {
	Noise       key.MachinePrivate `json:"noise"` // the control server's identity
	Relay       key.NodePrivate    `json:"relay"` // the relay's
	Certificate []byte             `json:"certificate"`
	TLSKey      []byte             `json:"tlsKey"`
	Client      oauthClient        `json:"client"`
	Policy      string             `json:"policy"`
	Keys        []*authKey         `json:"keys"`
	Devices     []*device          `json:"devices"`
	Made        int                `json:"made"` // devices ever, for numbers are not used twice
	Ports       Ports              `json:"ports"`
}

// Ports are where the tailnet answers on loopback.
type Ports struct {
	Control int `json:"control"`
	API     int `json:"api"`
	Relay   int `json:"relay"`
	Proxy   int `json:"proxy"`
}

// oauthClient is who may use the API.
type oauthClient struct {
	ID     string   `json:"id"`
	Secret string   `json:"secret"`
	Tags   []string `json:"tags"`
	Scopes []string `json:"scopes"`
}

// authKey lets a node in.
type authKey struct {
	ID            string    `json:"id"`
	Secret        string    `json:"secret"` // the whole key, as a node shows it
	Description   string    `json:"description"`
	Tags          []string  `json:"tags"`
	Reusable      bool      `json:"reusable"`
	Ephemeral     bool      `json:"ephemeral"`
	Preauthorized bool      `json:"preauthorized"`
	Created       time.Time `json:"created"`
	Expires       time.Time `json:"expires"`
	Used          time.Time `json:"used"`
	Revoked       time.Time `json:"revoked"`
}

// device is one node of the tailnet.
type device struct {
	ID             tailcfg.NodeID            `json:"id"`
	Machine        key.MachinePublic         `json:"machine"`
	Key            key.NodePublic            `json:"key"`
	Disco          key.DiscoPublic           `json:"disco"`
	Name           string                    `json:"name"`     // unique in the tailnet
	Hostname       string                    `json:"hostname"` // as the node itself says
	Named          bool                      `json:"named"`    // through the API: the hostname counts no more
	Tags           []string                  `json:"tags"`
	Ephemeral      bool                      `json:"ephemeral"`
	Authorized     bool                      `json:"authorized"`
	Addr           netip.Addr                `json:"addr"`
	Created        time.Time                 `json:"created"`
	LastSeen       time.Time                 `json:"lastSeen"`
	Expires        time.Time                 `json:"expires"`
	ExpiryDisabled bool                      `json:"expiryDisabled"`
	Hostinfo       *tailcfg.Hostinfo         `json:"hostinfo"`
	Endpoints      []netip.AddrPort          `json:"endpoints"`
	Version        tailcfg.CapabilityVersion `json:"version"`
	HomeRelay      int                       `json:"homeRelay"`
	Held           bool                      `json:"held"` // nobody's: it holds its name
	HeldLive       bool                      `json:"heldLive"`
}

// expired tells whether the node must log in again.
func (d *device) expired(now time.Time) bool {
	return !d.Expires.IsZero() && !d.ExpiryDisabled && d.Expires.Before(now)
}

func (d *device) stableID() string { return fmt.Sprintf("n%06dCNTRL", d.ID) }

const stateFile = "state.json"

func readState(dir string) (*state, error) {
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return newState()
	}
	if err != nil {
		return nil, fmt.Errorf("read the tailnet: %w", err)
	}
	st := new(state)
	if err := json.Unmarshal(content, st); err != nil {
		return nil, fmt.Errorf("read the tailnet: %s: %w", filepath.Join(dir, stateFile), err)
	}
	return st, nil
}

// write replaces the file in one step: a process that is killed leaves the old
// state or the new one.
func (st *state) write(dir string) error {
	content, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("keep the tailnet: %w", err)
	}
	fresh := filepath.Join(dir, "."+stateFile)
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		return fmt.Errorf("keep the tailnet: %w", err)
	}
	if err := os.Rename(fresh, filepath.Join(dir, stateFile)); err != nil {
		return fmt.Errorf("keep the tailnet: %w", err)
	}
	return nil
}

func newState() (*state, error) {
	certificate, tlsKey, err := newCertificate()
	if err != nil {
		return nil, err
	}
	return &state{
		Noise:       key.NewMachine(),
		Relay:       key.NewNode(),
		Certificate: certificate,
		TLSKey:      tlsKey,
		Policy:      defaultPolicy,
		Client: oauthClient{
			ID: "k" + randomText(12) + "CNTRL", Secret: "tskey-client-k" + randomText(12) + "CNTRL-" + randomText(32),
			Tags: []string{HomelabTag}, Scopes: []string{scopeKeys, scopeDevices, scopePolicy},
		},
	}, nil
}

func (st *state) byKey(k key.NodePublic) *device {
	return st.find(func(d *device) bool { return d.Key == k })
}

func (st *state) find(fits func(*device) bool) *device {
	if i := slices.IndexFunc(st.Devices, fits); i >= 0 {
		return st.Devices[i]
	}
	return nil
}

func (st *state) remove(gone *device) {
	st.Devices = slices.DeleteFunc(st.Devices, func(d *device) bool { return d == gone })
}
