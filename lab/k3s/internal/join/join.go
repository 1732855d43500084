// Package join keeps the promise of a k3s token on both sides: the server lets
// in who knows the secret, under a name whose password it knows or sees for the
// first time, and the agent believes only the server whose authority the token
// names. The paths are fewer than k3s's; what crosses is the same.
package join

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	authorityPath = "/cacerts"
	joinPath      = "/v1-k3s/join"
	// user is who an agent says it is, whichever token it has.
	user = "node"
)

// Request is what an agent says of itself.
type Request struct {
	Node     string `json:"node"`
	IP       string `json:"ip"`
	Password string `json:"password"`
}

// Answer is what a server gives an agent: what the cluster looks like, and the
// files that go below agent/.
type Answer struct {
	ClusterCIDR    string            `json:"clusterCIDR"`
	ServiceCIDR    string            `json:"serviceCIDR"`
	ClusterDNS     string            `json:"clusterDNS"`
	ClusterDomain  string            `json:"clusterDomain"`
	FlannelBackend string            `json:"flannelBackend"`
	Files          map[string][]byte `json:"files"`
}

// split takes a token apart: the digest of the authority, which may be missing,
// and the secret.
func split(token string) (digest, secret string) {
	name, rest, full := strings.Cut(token, "::")
	if !full || !strings.HasPrefix(name, "K10") {
		return "", token
	}
	_, secret, _ = strings.Cut(rest, ":")
	return strings.TrimPrefix(name, "K10"), secret
}

var errOther = errors.New("the server's authority is not the one that the token names")

// believe checks an authority by the token's digest.
func believe(authority []byte, digest string) error {
	sum := sha256.Sum256(authority)
	if digest != "" && hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %w", errOther)
	}
	return nil
}
