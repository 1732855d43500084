package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// settings is what the svclb pod's environment asks for.
type settings struct {
	protocol string   // tcp or udp
	listen   string   // address to listen on
	targets  []string // addresses to forward to, tried in order
	sources  []netip.Prefix
}

// settingsFrom reads the variables and reports all mistakes at once.
func settingsFrom(getenv func(string) string) (settings, error) {
	var errs []error
	s := settings{protocol: strings.ToLower(getenv("DEST_PROTO"))}
	if s.protocol == "" {
		s.protocol = "tcp"
	}
	if s.protocol != "tcp" && s.protocol != "udp" {
		errs = append(errs, fmt.Errorf("DEST_PROTO %q is neither TCP nor UDP", getenv("DEST_PROTO")))
	}
	source, err := port(getenv, "SRC_PORT")
	errs = append(errs, err)
	s.listen = net.JoinHostPort("", source)
	target, err := port(getenv, "DEST_PORT")
	errs = append(errs, err)
	for _, address := range list(getenv("DEST_IPS")) {
		ip, err := netip.ParseAddr(address)
		errs = append(errs, wrap("DEST_IPS", err))
		s.targets = append(s.targets, net.JoinHostPort(ip.String(), target))
	}
	if len(s.targets) == 0 {
		errs = append(errs, errors.New("DEST_IPS names no address"))
	}
	for _, text := range list(getenv("SRC_RANGES")) {
		prefix, err := netip.ParsePrefix(text)
		errs = append(errs, wrap("SRC_RANGES", err))
		s.sources = append(s.sources, prefix)
	}
	return s, errors.Join(errs...)
}

func port(getenv func(string) string, name string) (string, error) {
	text := getenv(name)
	if n, err := strconv.ParseUint(text, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%s %q is not a port", name, text)
	}
	return text, nil
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// allows tells whether the service takes clients from this address. No range
// at all means everyone, as in a Service without loadBalancerSourceRanges.
func (s settings) allows(client netip.Addr) bool {
	if len(s.sources) == 0 {
		return true
	}
	for _, prefix := range s.sources {
		if prefix.Contains(client.Unmap()) {
			return true
		}
	}
	return false
}
