package tailnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// join brings the box into the tailnet with a key. With an OAuth client the
// name is made free first, because a name that is taken comes back with a
// suffix that no later run gets rid of.
func (n node) join(ctx context.Context, r step.Run, s seen) error {
	cred, err := n.credentials(ctx, true)
	if err != nil {
		return err
	}
	key := cred.AuthKey
	if cred.OAuth() {
		api := newAPI(ctx, n.conf, cred, n.http)
		if err := n.makeRoom(ctx, r, api, s); err != nil {
			return err
		}
		if key, err = api.mint(ctx, n.want.tags, n.want.name); err != nil {
			return err
		}
	}
	if key.Empty() {
		return fault.New(fault.NeedsAnswer, "set TS_AUTHKEY, or TS_API_CLIENT_ID and TS_API_CLIENT_SECRET", "there is no key to join the tailnet with")
	}
	return n.up(ctx, r, key)
}

// upTimeout bounds one `tailscale up`, which by itself would wait for ever.
const upTimeout = time.Minute

// upScript takes the key, if there is one, from its input into a file that only
// root can read, and takes it away whatever comes of it. /run is in memory, so
// that a power cut takes it as well.
const upScript = `set -u
with=$1; shift
rm -f ` + keyPrefix + `*
if [ "$with" = key ]; then
	mkdir -p ` + ourRunDir + `
	key=$(mktemp ` + keyPrefix + `XXXXXXXX) || exit 1
	chmod 600 "$key"
	cat >"$key"
	` + clientPath + ` up --auth-key="file:$key" "$@"
	status=$?
	rm -f "$key"
else
	` + clientPath + ` up "$@"
	status=$?
fi
exit $status
`

// up runs `tailscale up` with all settings, and with a key if there is one.
func (n node) up(ctx context.Context, r step.Run, key secrets.Value) error {
	with := "no-key"
	if !key.Empty() {
		with = "key"
	}
	flags := append(settings(n.conf), "--timeout="+upTimeout.String())
	c := host.Command{Argv: append([]string{"sh", "-c", upScript, "sh", with}, flags...), Stdin: []byte(key.Reveal()), Root: true}
	_, err := r.Host.Run(ctx, c)
	var failed *host.CommandError
	switch {
	case err == nil:
		return r.Host.Put(ctx, host.File{Path: settingsPath, Mode: 0o644, Content: []byte(n.want.settings + "\n")})
	case !errors.As(err, &failed):
		return fmt.Errorf("tailscale up: %w", err)
	}
	after, lookErr := n.Observe(ctx, r.Host)
	if lookErr != nil {
		after = seen{}
	}
	return n.explain(failed.Stderr, after, !key.Empty())
}

// explain says what kept `tailscale up` from its end, and what to do about it.
// The words are those of tailscaled and of the control server.
func (n node) explain(stderr string, after seen, keyed bool) error {
	text := clean(stderr)
	all := strings.ToLower(text + health(after))
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(all, w) {
				return true
			}
		}
		return false
	}
	refused := func(next, format string, args ...any) error {
		return &fault.Error{Code: fault.TailnetRefused, Op: "join the tailnet", Err: fmt.Errorf(format, args...), Evidence: text, Next: next}
	}
	switch {
	case has("not yet valid", "certificate has expired", "clock"):
		return refused("set the box's clock (`ssg-bootstrap install --host HOST --only clock`), then run the same command again",
			"the box's clock is wrong: it does not accept the control server's certificate")
	case has("tag:", "tags ["):
		return refused("allow the tags in the policy's tagOwners and give the key or the OAuth client exactly them, or change tailnet.tags",
			"the tailnet does not let this key give the tags %s", list(n.want.tags))
	case has("authkey", "auth key", "api key", "invalid key", "key expired", "expired key"):
		return refused("make a new key in the admin console under Settings, Keys, and give it as TS_AUTHKEY; or give an OAuth client, which makes its own",
			"the tailnet does not accept the key: it is spent, expired or not of this tailnet")
	case has("force-reauth"):
		return refused("run `sudo tailscale logout` on the box, then the same command again",
			"the box is in the tailnet of another control server than %s", n.conf.LoginServer)
	case has("mentioning all"):
		return refused("run the command that tailscale names above on the box, or `sudo tailscale up --reset`, then the same command again",
			"somebody gave tailscaled settings that are not in the configuration")
	case has("timeout waiting", "timed out", "connection refused", "no route", "unreachable", "i/o timeout", "dial tcp"):
		return n.unreachable(after, errors.New(text))
	case !keyed && after.daemon != nil && after.daemon.BackendState == stateNeedsLogin:
		return nil // the next look finds that it has to join
	}
	return refused("read `journalctl -u tailscaled` on the box, then run the same command again", "tailscale up failed")
}

// unreachable tells a control server that does not answer from relays that do
// not.
func (n node) unreachable(s seen, err error) error {
	out := &fault.Error{
		Code: fault.TailnetUnreachable, Op: "join the tailnet", Evidence: clean(err.Error() + health(s)),
		Err:  fmt.Errorf("the control server %s does not answer the box", n.conf.LoginServer),
		Next: "see whether `curl -sI " + n.conf.LoginServer + "` works on the box, then run the same command again",
	}
	if s.daemon != nil && (s.daemon.BackendState == stateStarting || s.daemon.BackendState == stateRunning) {
		out.Err = errors.New("the box is known to the control server and reaches no relay (DERP) of the tailnet")
		out.Next = "run `sudo tailscale netcheck` on the box: outgoing HTTPS to the relays must be allowed; then run the same command again"
	}
	return out
}
