package tailnet

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
)

const (
	// Domain ends the name of each node.
	Domain = "tail1ab00.ts.net"
	// HomelabTag is the tag that the lab's keys bear.
	HomelabTag = "tag:homelab"
	// OtherTag exists, but neither the lab's keys nor its client may give it.
	OtherTag = "tag:other"
	// account is who owns the tailnet.
	account = "owner@example.com"
)

// label is a hostname as a name in DNS.
func label(hostname string) string {
	name, _, _ := strings.Cut(strings.ToLower(hostname), ".")
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
	if name == "" {
		return "device"
	}
	return name[:min(len(name), 63)]
}

// freeName is the hostname, or the hostname and the first number that nobody has.
func (st *state) freeName(hostname string, except *device) string {
	base := label(hostname)
	taken := func(name string) bool {
		return st.find(func(d *device) bool { return d != except && d.Name == name }) != nil
	}
	name := base
	for n := 1; taken(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// nextAddr gives each device that was ever made an address of its own, as long
// as nobody has asked for that address by name.
func (st *state) nextAddr() netip.Addr {
	for n := st.Made; ; n++ {
		addr := netip.AddrFrom4([4]byte{100, 64 + byte(n>>16)&0x3f, byte(n >> 8), byte(n)})
		if st.find(func(d *device) bool { return d.Addr == addr }) == nil {
			return addr
		}
	}
}

const letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"

func randomText(length int) string {
	text := make([]byte, length)
	_, _ = rand.Read(text) // it never fails, and says so
	for i, b := range text {
		text[i] = letters[int(b)%len(letters)]
	}
	return string(text)
}
