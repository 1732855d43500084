package tailnet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	tailscale "tailscale.com/client/tailscale/v2"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// api is what an OAuth client may do in the tailnet. It stays on this computer:
// its right to remove devices is not limited to those with a tag.
type api struct {
	client *tailscale.Client
	base   string
}

// keyLife is enough for a join that begins at once.
const keyLife = 10 * time.Minute

// login gets tokens for an OAuth client. The library's own would get them
// without a timeout and go on after Ctrl-C.
type login struct {
	ctx  context.Context
	cred Credential
}

// HTTPClient adds the tokens to what orig sends.
func (l login) HTTPClient(orig *http.Client, baseURL string) *http.Client {
	conf := clientcredentials.Config{
		ClientID: l.cred.ClientID, ClientSecret: l.cred.ClientSecret.Reveal(), TokenURL: baseURL + "/api/v2/oauth/token",
		Scopes: []string{"auth_keys", "devices:core"},
	}
	return conf.Client(context.WithValue(l.ctx, oauth2.HTTPClient, orig))
}

// newAPI returns the API for as long as ctx lasts.
func newAPI(ctx context.Context, conf spec.Tailnet, cred Credential, c *http.Client) api {
	if c == nil {
		c = &http.Client{Timeout: time.Minute}
	}
	base, err := url.Parse(strings.TrimRight(conf.API, "/"))
	if err != nil {
		base = &url.URL{} // it was checked with the configuration
	}
	return api{base: conf.API, client: &tailscale.Client{
		BaseURL: base, Tailnet: conf.Tailnet, HTTP: c, UserAgent: "ssg-bootstrap",
		Auth: login{ctx, cred},
	}}
}

// mint makes a key that lets one device in, once, and soon.
func (a api) mint(ctx context.Context, tags []string, name string) (secrets.Value, error) {
	req := tailscale.CreateKeyRequest{ExpirySeconds: int64(keyLife.Seconds()), Description: "ssg-bootstrap " + name}
	create := &req.Capabilities.Devices.Create
	create.Tags, create.Preauthorized = tags, true
	key, err := a.client.Keys().CreateAuthKey(ctx, req)
	if err != nil {
		return secrets.Value{}, a.explain("make a key for "+list(tags), err)
	}
	return secrets.NewValue(key.Key), nil
}

func (a api) devices(ctx context.Context) ([]tailscale.Device, error) {
	all, err := a.client.Devices().List(ctx)
	if err != nil {
		return nil, a.explain("list the tailnet's devices", err)
	}
	return all, nil
}

func (a api) remove(ctx context.Context, id string) error {
	err := a.client.Devices().Delete(ctx, id)
	if err != nil && !tailscale.IsNotFound(err) {
		return a.explain("remove a device", err)
	}
	return nil
}

// explain tells a refusal from a server that cannot be reached. The library's
// errors hold what the server said and no secret.
func (a api) explain(op string, err error) error {
	var said tailscale.APIError
	if !errors.As(err, &said) {
		code, next := fault.TailnetUnreachable, "check tailnet.api and the way there, then run the same command again"
		if strings.Contains(err.Error(), "oauth2") {
			code, next = fault.TailnetRefused, "check TS_API_CLIENT_ID and TS_API_CLIENT_SECRET: the OAuth client must exist in this tailnet"
		}
		return &fault.Error{Code: code, Op: op, Err: fmt.Errorf("%s: %s", a.base, clean(err.Error())), Next: next}
	}
	next := "give the OAuth client the scopes auth_keys and devices:core (write) and the tags of the box, under Settings, Trust credentials"
	switch {
	case said.Status == http.StatusNotFound:
		next = "check tailnet.tailnet: \"-\" stands for the tailnet of the OAuth client"
	case said.Status >= http.StatusInternalServerError || said.Status == http.StatusTooManyRequests:
		return &fault.Error{Code: fault.TailnetUnreachable, Op: op, Err: fmt.Errorf("Tailscale's API answers %d", said.Status), Evidence: clean(said.Message), Next: "wait a moment, then run the same command again"}
	}
	return &fault.Error{Code: fault.TailnetRefused, Op: op, Err: fmt.Errorf("Tailscale's API answers %d: %s", said.Status, clean(said.Message)), Next: next}
}

// makeRoom removes what is left of an earlier life of the box: devices of its
// name and its tags that are not connected. Whoever else holds the name is left
// alone and named.
func (n node) makeRoom(ctx context.Context, r step.Run, a api, s seen) error {
	all, err := a.devices(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if s.daemon != nil && s.daemon.Self != nil && s.daemon.Self.ID != "" && s.daemon.Self.ID == d.NodeID {
			continue // it is this very node
		}
		switch judgeDevice(d, n.want) {
		case deviceDead:
			r.Note("removing the device " + deviceName(d) + ", which was the box before" + lastSeen(d))
			if err := a.remove(ctx, d.NodeID); err != nil {
				return err
			}
		case deviceInTheWay:
			return inTheWay(d, n.want.name)
		}
	}
	return nil
}

// How a device of the tailnet stands to the box that wants to join.
type standing int

const (
	deviceElse standing = iota
	deviceDead
	deviceInTheWay
)

func judgeDevice(d tailscale.Device, w want) standing {
	holds := strings.EqualFold(deviceName(d), w.name)
	same := holds || strings.EqualFold(d.Hostname, w.name)
	switch {
	case same && !d.ConnectedToControl && contains(d.Tags, w.tags) && len(w.tags) > 0:
		return deviceDead
	case holds:
		return deviceInTheWay
	}
	return deviceElse
}

// deviceName is what the tailnet calls a device, without the tailnet's name.
func deviceName(d tailscale.Device) string {
	label, _, _ := strings.Cut(d.Name, ".")
	return label
}

func lastSeen(d tailscale.Device) string {
	if d.LastSeen == nil || d.LastSeen.IsZero() {
		return ""
	}
	return " (last seen " + d.LastSeen.UTC().Format("2006-01-02 15:04") + " UTC)"
}

func inTheWay(d tailscale.Device, name string) error {
	state := "is connected"
	if !d.ConnectedToControl {
		state = "does not carry the box's tags"
	}
	return &fault.Error{
		Code: fault.TailnetNameTaken, Op: "join the tailnet",
		Err:      fmt.Errorf("the name %s is held by another device, which %s", name, state),
		Evidence: fmt.Sprintf("%s, %s, %s, tags %s", d.Name, d.OS, strings.Join(d.Addresses, " "), list(slices.Sorted(slices.Values(d.Tags)))),
		Next:     "if it was this box, switch that one off or remove it in the admin console under Machines; if not, set tailnet.hostname; then run the same command again",
	}
}

// approve lets the node in where the tailnet wants each device to be approved.
func (n node) approve(ctx context.Context, s seen) error {
	a, err := n.owner(ctx, "approve it in the admin console under Machines, then run the same command again", "the tailnet wants %s to be approved", n.object())
	if err != nil {
		return err
	}
	if err := a.client.Devices().SetAuthorized(ctx, s.daemon.Self.ID, true); err != nil {
		return a.explain("approve "+n.object(), err)
	}
	return nil
}

// retag gives the node its tags. A login that asks for other tags would be one
// with a key, which a joined node is not given.
func (n node) retag(ctx context.Context, s seen) error {
	has := s.daemon.Self.Tags
	a, err := n.owner(ctx, "set its tags in the admin console under Machines, or give the OAuth client (TS_API_CLIENT_ID, TS_API_CLIENT_SECRET); then run the same command again",
		"%s has the tags %s and should have %s", n.object(), list(has), list(n.want.tags))
	if err != nil {
		return err
	}
	if err := a.client.Devices().SetTags(ctx, s.daemon.Self.ID, n.want.tags); err != nil {
		return a.explain("give "+n.object()+" its tags", err)
	}
	return nil
}

// owner is the API where there is an OAuth client, else an error that says what
// it would have been needed for.
func (n node) owner(ctx context.Context, next, format string, args ...any) (api, error) {
	cred, err := n.credentials(ctx, false)
	if err != nil {
		return api{}, err
	}
	if !cred.OAuth() {
		return api{}, fault.New(fault.TailnetRefused, next, format, args...)
	}
	return newAPI(ctx, n.conf, cred, n.http), nil
}
