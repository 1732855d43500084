package spec

import (
	"cmp"
	"slices"
)

const (
	// A tailnet takes DNS labels for names, and tags are what its policy file
	// allows.
	tailnetNamePattern    = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	tailnetTagPattern     = `^tag:[a-zA-Z][a-zA-Z0-9-]*$`
	tailnetOrgPattern     = `^(-|[A-Za-z0-9][A-Za-z0-9.@_-]*)$`
	tailnetVersionPattern = `^(stable|[0-9]+\.[0-9]+\.[0-9]+)$`
)

// Tailnet says how the box joins a tailnet.
type Tailnet struct {
	// Enabled is true unless said otherwise: the section alone switches it on.
	Enabled  *bool    `yaml:"enabled,omitempty" json:"enabled,omitempty" jsonschema_description:"Whether install joins the box to a tailnet; default: true where there is this section."`
	Hostname string   `yaml:"hostname,omitempty" json:"hostname,omitempty" jsonschema:"pattern=^[a-z0-9]([a-z0-9-]*[a-z0-9])?$,maxLength=63" jsonschema_description:"The box's name in the tailnet; default: the host's name."`
	Tags     []string `yaml:"tags,omitempty" json:"tags,omitempty" jsonschema_description:"Its tags, which the tailnet's policy must let the key give; default: tag:homelab."`
	// LoginServer is an address as the box sees it, API one as this computer
	// sees it.
	LoginServer string `yaml:"loginServer,omitempty" json:"loginServer,omitempty" jsonschema:"format=uri" jsonschema_description:"The control server as the box sees it; default: Tailscale's."`
	API         string `yaml:"api,omitempty" json:"api,omitempty" jsonschema:"format=uri" jsonschema_description:"The base address of Tailscale's API v2 as this computer sees it; default: https://api.tailscale.com."`
	Tailnet     string `yaml:"tailnet,omitempty" json:"tailnet,omitempty" jsonschema_description:"The tailnet's name for the API; default: -, the one that the OAuth client belongs to."`
	Version     string `yaml:"version,omitempty" json:"version,omitempty" jsonschema:"pattern=^(stable|[0-9]+\\.[0-9]+\\.[0-9]+)$" jsonschema_description:"A release such as 1.102.5; default: stable, the newest at the first install, which ssg-bootstrap.lock then pins."`
}

// over returns t with what it leaves out taken from below; nil is a section
// that is not there.
func (t *Tailnet) over(below *Tailnet) *Tailnet {
	switch {
	case t == nil:
		return below
	case below == nil:
		return t
	}
	out := &Tailnet{
		Enabled:     t.Enabled,
		Hostname:    cmp.Or(t.Hostname, below.Hostname),
		Tags:        t.Tags,
		LoginServer: cmp.Or(t.LoginServer, below.LoginServer),
		API:         cmp.Or(t.API, below.API),
		Tailnet:     cmp.Or(t.Tailnet, below.Tailnet),
		Version:     cmp.Or(t.Version, below.Version),
	}
	if out.Enabled == nil {
		out.Enabled = below.Enabled
	}
	if len(out.Tags) == 0 {
		out.Tags = below.Tags
	}
	return out
}

// TailnetOf is how a host joins a tailnet, with every default filled in, or nil
// if it does not. node is the host's name as a DNS label.
func (c Config) TailnetOf(hostName, node string) *Tailnet {
	t := c.Hosts[hostName].Tailnet.over(c.Tailnet)
	if t == nil || t.Enabled != nil && !*t.Enabled {
		return nil
	}
	out := *t
	out.Hostname = cmp.Or(t.Hostname, label(node))
	out.Version = cmp.Or(t.Version, "stable")
	out.Tailnet = cmp.Or(t.Tailnet, "-")
	out.API = cmp.Or(t.API, "https://api.tailscale.com")
	out.Tags = slices.Clone(t.Tags)
	if len(out.Tags) == 0 {
		out.Tags = []string{"tag:homelab"}
	}
	// The order in which somebody wrote them means nothing.
	slices.Sort(out.Tags)
	out.Tags = slices.Compact(out.Tags)
	return &out
}

// label is a node's name without the dots, which a tailnet does not take.
func label(node string) string {
	out := []byte(node)
	for i, b := range out {
		if b == '.' {
			out[i] = '-'
		}
	}
	return string(out)
}

func (k checker) tailnet(path []string, t *Tailnet) {
	if t == nil {
		return
	}
	sub := func(keys ...string) []string { return append(slices.Clone(path), keys...) }
	if t.Hostname != "" && !matches(tailnetNamePattern, t.Hostname) {
		k.doc.Refuse(sub("hostname"), "%q is not a name in a tailnet: at most 63 lower-case letters, digits and hyphens", t.Hostname)
	}
	for i, tag := range t.Tags {
		if !matches(tailnetTagPattern, tag) {
			k.doc.Refuse(sub("tags", index(i)), "%q is not a tag like tag:homelab", tag)
		}
	}
	if t.Tailnet != "" && !matches(tailnetOrgPattern, t.Tailnet) {
		k.doc.Refuse(sub("tailnet"), "%q is not a tailnet's name like example.com, nor -", t.Tailnet)
	}
	if t.Version != "" && !matches(tailnetVersionPattern, t.Version) {
		k.doc.Refuse(sub("version"), "%q is neither a Tailscale release like 1.102.5 nor stable", t.Version)
	}
	k.mirror(sub("loginServer"), t.LoginServer)
	k.mirror(sub("api"), t.API)
}
