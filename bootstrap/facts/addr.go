package facts

import "strings"

// IP returns the address without its prefix length.
func (a Address) IP() string {
	ip, _, _ := strings.Cut(a.CIDR, "/")
	return ip
}
