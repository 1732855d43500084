// Package node keeps the promises of the box's own half: it has an address that
// follows from its default route, containerd and its images are there before
// the kubelet asks for them, and pods can reach each other and the world.
package node

import (
	"fmt"
	"net"
	"os"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Address chooses the node's address: the one asked for, that of an interface,
// or that of the default route.
func Address(asked, iface string) (string, error) {
	switch {
	case asked != "":
		return asked, nil
	case iface != "":
		return interfaceAddress(iface)
	}
	ip, err := utilnet.ChooseHostInterface()
	if err != nil {
		return "", fmt.Errorf("choose the node's address: %w (give the box a default route, or set node-ip)", err)
	}
	return ip.String(), nil
}

func interfaceAddress(name string) (string, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return "", fmt.Errorf("find flannel-iface %s: %w", name, err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return "", fmt.Errorf("read addresses of %s: %w", name, err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.String(), nil
		}
	}
	return "", fmt.Errorf("interface %s has no IPv4 address", name)
}

// Name is the node's name: the one asked for, or the host's.
func Name(asked string) (string, error) {
	if asked == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("read host name: %w", err)
		}
		asked = host
	}
	return strings.ToLower(asked), nil
}
