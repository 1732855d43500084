package k3s

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// The agents' own token comes first: where the owner has set one, it lets in
// nobody but agents, and k3s keeps it beside the server's.
const tokenScript = `for name in agent-token node-token; do
	if [ -r "$1/$name" ]; then exec cat "$1/$name"; fi
done
exit 3
`

// agentToken reads from the server what lets an agent in. It goes from one box's
// root-only file to the other's; it is in no plan and in no argument.
func (s Server) agentToken(ctx context.Context) (secrets.Value, error) {
	return s.tokenIn(s.Box.Query(ctx, tokenQuery()))
}

func tokenQuery() host.Command {
	return host.Command{Argv: []string{"sh", "-c", tokenScript, "sh", dataDir + "/server"}, Root: true}
}

// tokenIn reads the answer to tokenQuery.
func (s Server) tokenIn(out []byte, err error) (secrets.Value, error) {
	var failed *host.CommandError
	switch {
	case errors.As(err, &failed):
		return secrets.Value{}, fault.New(fault.NotInstalled, "make the server first: `ssg-bootstrap install --host "+s.Name+"`",
			"%s has no cluster that could be joined", s.Name)
	case err != nil:
		return secrets.Value{}, fmt.Errorf("read the agents' token on %s: %w", s.Name, err)
	}
	return secrets.NewValue(strings.TrimSpace(string(out))), nil
}

// clusterOf is the part of a token that names the cluster: the digest of its
// authority, which everybody may know. A bare secret has none.
func clusterOf(token secrets.Value) string {
	name, _, full := strings.Cut(token.Reveal(), "::")
	if !full || !strings.HasPrefix(name, "K10") {
		return ""
	}
	return name
}
