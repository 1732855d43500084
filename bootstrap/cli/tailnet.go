package cli

import (
	"context"
	"strings"
	"sync"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/facts"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
)

// Where a credential for the tailnet comes from.
const (
	envAuthKey      = "TS_AUTHKEY"
	envClientID     = "TS_API_CLIENT_ID"
	envClientSecret = "TS_API_CLIENT_SECRET"
	tailnetRemedy   = "set " + envAuthKey + " to an auth key, or " + envClientID + " and " + envClientSecret + " to an OAuth client, or run it in a terminal"
)

// The OAuth client as the age store keeps it. A key of one use is not kept.
const (
	keptClientID     secrets.Key = "tailscale/client-id"
	keptClientSecret secrets.Key = "tailscale/client-secret"
)

// An OAuth client's secret says what it is, as an auth key does.
const clientSecretPrefix = "tskey-client-"

// tailnetCredentials finds the credential once, whoever asks for it.
type tailnetCredentials struct {
	a *app

	mu    sync.Mutex
	found tailnet.Credential
}

// get is a tailnet.Credentials: from the environment, the age store or, where
// there is no going on without, a question.
func (c *tailnetCredentials) get(ctx context.Context, must bool) (tailnet.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.found != (tailnet.Credential{}) {
		return c.found, nil
	}
	found, err := c.given()
	if err == nil && found == (tailnet.Credential{}) && must {
		found, err = c.ask(ctx)
	}
	c.found = found
	return found, err
}

func (c *tailnetCredentials) given() (tailnet.Credential, error) {
	env := c.a.env.Getenv
	found := tailnet.Credential{
		AuthKey: secrets.NewValue(env(envAuthKey)), ClientID: env(envClientID), ClientSecret: secrets.NewValue(env(envClientSecret)),
	}
	if (found.ClientID == "") != found.ClientSecret.Empty() {
		return tailnet.Credential{}, fault.New(fault.Usage, "set both or neither", "an OAuth client is %s and %s; only one of them is set", envClientID, envClientSecret)
	}
	if found = sorted(found); found != (tailnet.Credential{}) {
		return found, nil
	}
	book, err := c.store().Load()
	if err != nil {
		return tailnet.Credential{}, err
	}
	return tailnet.Credential{ClientID: book.Secrets[keptClientID].Reveal(), ClientSecret: book.Secrets[keptClientSecret]}, nil
}

// sorted takes an OAuth client's secret that was given in a key's place for
// what it is; its identifier is a part of it.
func sorted(c tailnet.Credential) tailnet.Credential {
	rest, isClient := strings.CutPrefix(c.AuthKey.Reveal(), clientSecretPrefix)
	if !isClient || c.OAuth() {
		return c
	}
	id, _, _ := strings.Cut(rest, "-")
	return tailnet.Credential{ClientID: id, ClientSecret: c.AuthKey}
}

func (c *tailnetCredentials) ask(ctx context.Context) (tailnet.Credential, error) {
	ask := newPrompter(c.a)
	if !ask.possible() {
		return tailnet.Credential{}, nobody("a key for the tailnet is needed", tailnetRemedy)
	}
	text, err := ask.Secret(ctx, "Auth key for the tailnet (tskey-auth-…), or an OAuth client's secret (tskey-client-…), which is kept encrypted")
	if err != nil {
		return tailnet.Credential{}, err
	}
	found := sorted(tailnet.Credential{AuthKey: secrets.NewValue(strings.TrimSpace(text.Reveal()))})
	if found.OAuth() {
		err = c.keep(found)
	}
	return found, err
}

func (c *tailnetCredentials) store() *secrets.Store { return credentialStore(c.a) }

func (c *tailnetCredentials) keep(found tailnet.Credential) error {
	store := c.store()
	book, err := store.Load()
	if err != nil {
		return err
	}
	book.Secrets = book.Secrets.With(secrets.Set{
		keptClientID: secrets.NewValue(found.ClientID), keptClientSecret: found.ClientSecret,
	})
	return store.Save(&book)
}

// askForTailnet has the credential at hand before the long part begins, where
// the plan joins the box: nobody waits for half an hour at a terminal to be
// asked for a key then. A box that gets its keys back from a backup needs none.
func (s *session) askForTailnet(ctx context.Context, p measuredPlan) error {
	planned, ok := p.Of(tailnet.NodeID)
	if !ok || s.restoresTailnet() {
		return nil
	}
	for _, c := range planned.Changes {
		if c.Verb == step.Create {
			_, err := s.tailnet.get(ctx, true)
			return err
		}
	}
	return nil
}

func (s *session) restoresTailnet() bool {
	if s.restoring == nil {
		return false
	}
	_, kept := s.restoring.Manifest.Part(recovery.Tailnet)
	return kept
}

// tailnetStatus is nil where there is no Tailscale on the box.
func (s *session) tailnetStatus(ctx context.Context) (*tailnet.Status, error) {
	found, err := tailnet.Look(ctx, host.ReadOnly(s.client))
	if err != nil || !found.Installed {
		return nil, err
	}
	return &found, nil
}

// checkTailnet judges the box's membership where it should be a member.
func (s *session) checkTailnet(ctx context.Context) ([]facts.Finding, error) {
	want := s.spec.Tailnet
	if want == nil {
		return nil, nil
	}
	found, err := tailnet.Look(ctx, host.ReadOnly(s.client))
	if err != nil {
		return nil, err
	}
	return tailnet.Check(found, want.Hostname, want.Tags, s.a.env.Now()), nil
}

// leaveTailnet takes the box out of its tailnet. A connection that went over it
// is lost on the way, as it should be.
func (s *session) leaveTailnet(ctx context.Context) error {
	note, end := s.a.task("tailnet", "leave the tailnet")
	err := tailnet.Uninstall(ctx, s.client, note)
	end(err)
	return err
}

// tailnetAddress is where the API is reached over the tailnet: by name where
// nodes find each other by name, else by address.
func (s *session) tailnetAddress(ctx context.Context) (string, error) {
	found, err := tailnet.Look(ctx, host.ReadOnly(s.client))
	if err != nil {
		return "", err
	}
	switch {
	case !found.Running():
		return "", fault.New(fault.NotInstalled, "add a section `tailnet: {}` to the configuration, then `ssg-bootstrap install --host "+s.name+"`; or leave out --via",
			"%s is in no tailnet", s.name)
	case found.MagicDNS && found.Name != "":
		return found.Name, nil
	case len(found.Addresses) > 0:
		return found.Addresses[0], nil
	}
	return "", fault.New(fault.TailnetRefused, "see `ssg-bootstrap status --host "+s.name+"`", "%s has no address in its tailnet", s.name)
}
