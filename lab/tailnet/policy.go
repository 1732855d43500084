package tailnet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// defaultPolicy says who may give which tag; nobody is kept from anybody.
const defaultPolicy = `{
	// The lab's tailnet.
	"tagOwners": {
		"` + HomelabTag + `": ["autogroup:admin"],
		"` + OtherTag + `": ["autogroup:admin"],
	},
	"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}],
}
`

// tagOwners reads who may give which tag.
func tagOwners(policy string) (map[string][]string, error) {
	standard, err := hujson.Standardize([]byte(policy))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	var read struct {
		TagOwners map[string][]string `json:"tagOwners"`
	}
	if err := json.Unmarshal(standard, &read); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return read.TagOwners, nil
}

// mayTag tells whether somebody with the tags that they have may give those
// that they want. Somebody without any is the tailnet's owner.
func (st *state) mayTag(have, want []string) error {
	owners, err := tagOwners(st.Policy)
	if err != nil {
		return err
	}
	var refused []string
	for _, tag := range want {
		owned, known := owners[tag]
		owns := func(own string) bool { return own == tag || slices.Contains(owned, own) }
		if !known || len(have) > 0 && !slices.ContainsFunc(have, owns) {
			refused = append(refused, tag)
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("requested tags [%s] are invalid or not permitted", strings.Join(refused, " "))
	}
	return nil
}
