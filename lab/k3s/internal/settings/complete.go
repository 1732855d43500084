package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// complete fills what follows from other values and refuses what cannot be. All
// mistakes come back together.
func (s *Server) complete() error {
	s.Disable = splitCommas(s.Disable)
	s.TLSSANs = splitCommas(s.TLSSANs)
	var errs []error
	dir, err := filepath.Abs(s.DataDir)
	errs = append(errs, err)
	s.DataDir = dir
	errs = append(errs, s.completeNetworks(), s.completeToken(), s.checkChoices())
	if s.LocalStoragePath == "" {
		s.LocalStoragePath = filepath.Join(s.DataDir, "storage")
	}
	if s.Rootless {
		errs = append(errs, errors.New("--rootless is not available in the lab's k3s stand-in"))
	}
	return errors.Join(errs...)
}

func (s *Server) completeNetworks() error {
	if _, err := netip.ParsePrefix(s.ClusterCIDR); err != nil {
		return fmt.Errorf("invalid cluster-cidr %s: %w", s.ClusterCIDR, err)
	}
	services, err := netip.ParsePrefix(s.ServiceCIDR)
	if err != nil {
		return fmt.Errorf("invalid service-cidr %s: %w", s.ServiceCIDR, err)
	}
	if s.ClusterDNS == "" {
		s.ClusterDNS = nth(services, 10).String()
	}
	dns, err := netip.ParseAddr(s.ClusterDNS)
	if err != nil {
		return fmt.Errorf("invalid cluster-dns %s: %w", s.ClusterDNS, err)
	}
	if !services.Contains(dns) {
		return fmt.Errorf("cluster-dns %s is not in service-cidr %s", dns, services)
	}
	for name, ip := range map[string]string{
		"node-ip": s.NodeIP, "node-external-ip": s.NodeExternalIP,
		"advertise-address": s.AdvertiseAddress, "bind-address": s.BindAddress,
	} {
		if ip == "" {
			continue
		}
		if _, err := netip.ParseAddr(ip); err != nil {
			return fmt.Errorf("invalid %s: %w", name, err)
		}
	}
	return nil
}

// ServiceIP is the address of the kubernetes service: the first of its network.
func (s *Server) ServiceIP() netip.Addr {
	return nth(netip.MustParsePrefix(s.ServiceCIDR), 1)
}

func nth(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

func (s *Server) completeToken() error {
	if s.TokenFile == "" || s.Token != "" {
		return nil
	}
	b, err := os.ReadFile(s.TokenFile)
	if err != nil {
		return fmt.Errorf("read token file: %w", err)
	}
	s.Token = strings.TrimSpace(string(b))
	return nil
}

func (s *Server) checkChoices() error {
	if s.KubeconfigMode != "" {
		if _, err := strconv.ParseUint(s.KubeconfigMode, 8, 12); err != nil {
			return fmt.Errorf("invalid write-kubeconfig-mode %q: want octal digits", s.KubeconfigMode)
		}
	}
	if s.HTTPSPort < 1 || s.HTTPSPort > 65535 {
		return fmt.Errorf("invalid https-listen-port %d", s.HTTPSPort)
	}
	choices := []struct {
		name, value string
		allowed     []string
	}{
		{"egress-selector-mode", s.EgressSelectorMode, []string{"agent", "cluster", "pod", "disabled"}},
		{"flannel-backend", s.FlannelBackend, []string{"none", "vxlan", "host-gw", "wireguard-native"}},
		{"snapshotter", s.Snapshotter, []string{"overlayfs", "native"}},
	}
	for _, c := range choices {
		if !slices.Contains(c.allowed, c.value) {
			return fmt.Errorf("invalid %s %q: want one of %s", c.name, c.value, strings.Join(c.allowed, ", "))
		}
	}
	return nil
}

func splitCommas(in []string) []string {
	var out []string
	for _, v := range in {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}
