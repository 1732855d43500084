package spec

import "cmp"

// imageTagPattern is what Kubernetes takes for a label as well: the tag that
// is deployed is remembered as one.
const (
	imageTagPattern  = `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`
	namespacePattern = `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
)

// On reports whether the application is to be deployed.
func (r Release) On() bool { return r.Enabled == nil || *r.Enabled }

// over returns r with what it leaves out taken from below.
func (r Release) over(below Release) Release {
	enabled := r.Enabled
	if enabled == nil {
		enabled = below.Enabled
	}
	return Release{
		Enabled:   enabled,
		Namespace: cmp.Or(r.Namespace, below.Namespace),
		Hostname:  cmp.Or(r.Hostname, below.Hostname),
		ImageTag:  cmp.Or(r.ImageTag, below.ImageTag),
		Values:    cmp.Or(r.Values, below.Values),
		Secrets:   cmp.Or(r.Secrets, below.Secrets),
	}
}

func (r Release) located(locate func(string) string) Release {
	r.Values, r.Secrets = locate(r.Values), locate(r.Secrets)
	return r
}

// ReleaseOf is how the application is deployed on a host; on the cluster of a
// context, which is no host, it is what the configuration says for all.
func (c Config) ReleaseOf(hostName string) Release { return c.Hosts[hostName].Release.over(c.Release) }

// ValidImageTag reports whether a tag can be deployed and remembered.
func ValidImageTag(tag string) bool { return matches(imageTagPattern, tag) }

func (k checker) release(path []string, r Release) {
	sub := func(key string) []string { return append(append([]string{}, path...), key) }
	if r.Namespace != "" && (!matches(namespacePattern, r.Namespace) || len(r.Namespace) > 63) {
		k.doc.Refuse(sub("namespace"), "%q is not a namespace: at most 63 lower-case letters, digits and hyphens", r.Namespace)
	}
	if r.Hostname != "" && !matches(dnsNamePattern, r.Hostname) {
		k.doc.Refuse(sub("hostname"), "%q is not a DNS name", r.Hostname)
	}
	if r.ImageTag != "" && !ValidImageTag(r.ImageTag) {
		k.doc.Refuse(sub("imageTag"), "%q is not an image tag of at most 63 letters, digits, dots, hyphens and underscores", r.ImageTag)
	}
}
