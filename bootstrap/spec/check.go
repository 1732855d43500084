package spec

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// Auto chooses the profile from the box's hardware.
const Auto = "auto"

const (
	hostNamePattern    = `^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`
	nodeNamePattern    = `^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`
	dnsNamePattern     = `^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`
	fingerprintPattern = `^SHA256:[A-Za-z0-9+/]{43}=?$`
	registryPattern    = `^(\*|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?)$`
	userPattern        = `^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$`
)

type checker struct {
	c   Config
	doc *strict.Document
}

func check(c Config, doc *strict.Document) {
	k := checker{c, doc}
	for _, name := range slices.Sorted(maps.Keys(c.Hosts)) {
		k.host(name, c.Hosts[name])
	}
	k.user(at("defaults", "user"), c.Defaults.User)
	k.profile(at("defaults", "profile"), c.Defaults.Profile)
	if strings.ContainsAny(c.Defaults.Host, " \t\r\n") {
		doc.Refuse(at("defaults", "host"), "%q is not a host", c.Defaults.Host)
	}
	k.release(at("release"), c.Release)
	k.tailnet(at("tailnet"), c.Tailnet)
	k.backup(c.Backup)
	k.mirror(at("mirrors", "k3s"), c.Mirrors.K3s)
	k.mirror(at("mirrors", "tailscale"), c.Mirrors.Tailscale)
	k.runner(at("runner"), c.Runner)
	k.mirror(at("mirrors", "k3s"), c.Mirrors.K3s)
	k.mirror(at("mirrors", "helm"), c.Mirrors.Helm)
	k.registries()
}

func at(path ...string) []string { return path }

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func (k checker) host(name string, h Host) {
	path := at("hosts", name)
	sub := func(key string) []string { return append(slices.Clone(path), key) }
	if !matches(hostNamePattern, name) {
		k.doc.Refuse(path, "%q is not a host's name: letters, digits, dots and hyphens", name)
	}
	k.address(sub("address"), h.Address)
	if k.doc.Says("hosts", name, "port") && (h.Port < 1 || h.Port > 65535) {
		k.doc.Refuse(sub("port"), "%d is not a port; 1 to 65535", h.Port)
	}
	k.user(sub("user"), h.User)
	k.profile(sub("profile"), h.Profile)
	for i, f := range h.IdentityFiles {
		if f == "" {
			k.doc.Refuse(append(sub("identityFiles"), index(i)), "an empty path")
		}
	}
	for i, key := range h.HostKeys {
		if !matches(fingerprintPattern, key) {
			k.doc.Refuse(append(sub("hostKeys"), index(i)), "%q is not a fingerprint like SHA256:… with 43 characters, as `ssh-keygen -lf` prints it", key)
		}
	}
	if h.NodeName != "" && (!matches(nodeNamePattern, h.NodeName) || len(h.NodeName) > 63) {
		k.doc.Refuse(sub("nodeName"), "%q is not a node's name: at most 63 lower-case letters, digits, hyphens and dots", h.NodeName)
	}
	for i, san := range h.TLSSANs {
		if _, err := netip.ParseAddr(san); err != nil && !matches(dnsNamePattern, san) {
			k.doc.Refuse(append(sub("tlsSANs"), index(i)), "%q is neither an IP address nor a DNS name", san)
		}
	}
	k.jumps(name, h)
	k.join(name, h)
	k.release(sub("release"), h.Release)
	k.tailnet(sub("tailnet"), h.Tailnet)
	k.hostRunner(sub("runner"), h.Runner)
}

func (k checker) address(path []string, address string) {
	if address == "" {
		if k.doc.Says(path...) {
			k.doc.Refuse(path, "the address is empty")
		}
		return
	}
	if _, err := netip.ParseAddr(address); err == nil || matches(hostNamePattern, address) {
		return
	}
	hint := ""
	switch {
	case strings.Contains(address, "@"):
		hint = "; the user goes to the key user"
	case strings.Contains(address, ":"):
		hint = "; the port goes to the key port"
	}
	k.doc.Refuse(path, "%q is neither a host name nor an IP address%s", address, hint)
}

func (k checker) user(path []string, user string) {
	if user != "" && !matches(userPattern, user) {
		k.doc.Refuse(path, "%q is not a login", user)
	}
}

func (k checker) profile(path []string, name string) {
	names := append(profiles.Names(), Auto)
	if name == "" || profiles.IsPath(name) || slices.Contains(names, name) {
		return
	}
	hint := "; there are " + strings.Join(names, ", ")
	if best, ok := strict.Closest(name, names); ok {
		hint = "; did you mean " + best + "?"
	}
	k.doc.Refuse(path, "there is no profile %q%s", name, hint)
}

// CannotJoin says why one host cannot be an agent of another; "" if it can.
func (c Config) CannotJoin(name, server string) string {
	switch further := c.Hosts[server].Join; {
	case server == name:
		return name + " cannot join itself"
	case strings.ContainsAny(server, " \t\r\n"):
		return fmt.Sprintf("%q is not a host", server)
	case further != "":
		return server + " is an agent itself; join its server " + further
	}
	return ""
}

// join checks that what a host joins is a server, and that nothing is asked of
// the host that only a server can give.
func (k checker) join(name string, h Host) {
	if h.Join == "" {
		return
	}
	if why := k.c.CannotJoin(name, h.Join); why != "" {
		k.doc.Refuse(at("hosts", name, "join"), "%s", why)
	}
	for _, key := range []string{"runner", "release", "tlsSANs"} {
		if k.doc.Says("hosts", name, key) {
			k.doc.Refuse(at("hosts", name, key), "%s is an agent of %s: this belongs to its server", name, h.Join)
		}
	}
}

// jumps checks one host's way, and that no host of this file is reached through
// itself.
func (k checker) jumps(name string, h Host) {
	for i, hop := range h.Jump {
		path := at("hosts", name, "jump", index(i))
		switch {
		case hop == "" || strings.ContainsAny(hop, " \t\r\n,"):
			k.doc.Refuse(path, "%q is not a host; one hop a line", hop)
		case k.reaches(hop, name, nil):
			k.doc.Refuse(path, "%s is reached through itself", name)
		}
	}
}

func (k checker) reaches(from, to string, seen []string) bool {
	if from == to {
		return true
	}
	if slices.Contains(seen, from) {
		return false
	}
	return slices.ContainsFunc(k.c.Hosts[from].Jump, func(hop string) bool {
		return k.reaches(hop, to, append(slices.Clone(seen), from))
	})
}

func (k checker) mirror(path []string, mirror string) {
	if mirror == "" {
		return
	}
	u, err := url.Parse(mirror)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		k.doc.Refuse(path, "%q is not an address like https://mirror.example/github", mirror)
	case u.User != nil:
		k.doc.Refuse(path, "a password does not belong in this file")
	case u.RawQuery != "" || u.Fragment != "":
		k.doc.Refuse(path, "%q has a query or a fragment; files are looked for below it", mirror)
	}
}

func (k checker) registries() {
	for _, name := range slices.Sorted(maps.Keys(k.c.Mirrors.Registries)) {
		path := at("mirrors", "registries", name)
		if !matches(registryPattern, name) {
			k.doc.Refuse(path, "%q is not a registry like ghcr.io or registry.example:5000, nor * for all others", name)
		}
		if k.c.Mirrors.Registries[name] == "" {
			k.doc.Refuse(path, "the address is empty; leave the line out to use %s itself", name)
		}
		k.mirror(path, k.c.Mirrors.Registries[name])
	}
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }
