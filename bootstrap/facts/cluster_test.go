package facts

import "testing"

// network has these addresses; its default route goes over enp3s0.
func network(addresses ...Address) Network {
	return Network{DefaultDevice: "enp3s0", Addresses: addresses}
}

func TestBoxesMeetInANetworkThatBothAreIn(t *testing.T) {
	lan := func(cidr string) Address { return Address{"enp3s0", cidr} }
	tailnet := func(cidr string) Address { return Address{"tailscale0", cidr} }
	for name, c := range map[string]struct {
		a, b     Network
		ofA, ofB string
	}{
		"one LAN":                   {network(lan("192.168.1.20/24")), network(lan("192.168.1.21/24")), "192.168.1.20", "192.168.1.21"},
		"the tailnet":               {network(lan("192.168.1.20/24"), tailnet("100.101.1.2/32")), network(lan("10.0.0.5/24"), tailnet("100.90.3.4/32")), "100.101.1.2", "100.90.3.4"},
		"the LAN before it":         {network(tailnet("100.101.1.2/32"), lan("192.168.1.20/24")), network(tailnet("100.90.3.4/32"), lan("192.168.1.21/24")), "192.168.1.20", "192.168.1.21"},
		"its first and last":        {network(tailnet("100.64.0.1/32")), network(tailnet("100.127.255.254/32")), "100.64.0.1", "100.127.255.254"},
		"neither":                   {network(lan("192.168.1.20/24")), network(lan("10.0.0.5/24")), "", ""},
		"one only in the tailnet":   {network(lan("192.168.1.20/24"), tailnet("100.101.1.2/32")), network(lan("10.0.0.5/24")), "", ""},
		"the other only":            {network(lan("192.168.1.20/24")), network(lan("10.0.0.5/24"), tailnet("100.90.3.4/32")), "", ""},
		"before the tailnet's":      {network(tailnet("100.101.1.2/32")), network(lan("100.63.255.255/32")), "", ""},
		"behind the tailnet's":      {network(tailnet("100.101.1.2/32")), network(lan("100.128.0.1/32")), "", ""},
		"no address at all":         {network(), network(lan("192.168.1.21/24")), "", ""},
		"of another length":         {network(lan("192.168.1.20/24")), network(lan("192.168.1.21/25")), "", ""},
		"two that stand alone":      {network(Address{"tun0", "10.9.0.2/32"}), network(Address{"tun0", "10.9.0.3/32"}), "", ""},
		"the same address in both":  {network(lan("10.0.2.15/24")), network(lan("10.0.2.15/24")), "", ""},
		"one that the other has":    {network(lan("10.0.2.15/24"), Address{"enp4s0", "10.0.2.16/24"}), network(lan("10.0.2.16/24")), "", ""},
		"past what both have":       {network(lan("10.0.2.15/24"), Address{"enp4s0", "192.168.1.20/24"}), network(lan("10.0.2.15/24"), Address{"enp4s0", "192.168.1.21/24"}), "192.168.1.20", "192.168.1.21"},
		"the default route's first": {network(Address{"enp4s0", "10.7.0.1/24"}, lan("192.168.1.20/24")), network(Address{"enp4s0", "10.7.0.2/24"}, lan("192.168.1.21/24")), "192.168.1.20", "192.168.1.21"},
		"not in what k3s made":      {network(Address{"cni0", "10.42.0.1/16"}, Address{"flannel.1", "10.43.0.1/16"}), network(Address{"cni0", "10.42.0.2/16"}, Address{"flannel.1", "10.43.0.2/16"}), "", ""},
		// The firewall's rules and the record of the cluster are of IPv4.
		"not in IPv6":               {network(lan("fd00::20/64")), network(lan("fd00::21/64")), "", ""},
		"beside IPv6":               {network(lan("fd00::20/64"), lan("192.168.1.20/24")), network(lan("fd00::21/64"), lan("192.168.1.21/24")), "192.168.1.20", "192.168.1.21"},
		"past what is no address":   {network(lan("192.168.1.20"), lan("192.168.1.22/24")), network(lan("192.168.1.21/24")), "192.168.1.22", "192.168.1.21"},
		"not in the tailnet's IPv6": {network(tailnet("fd7a:115c:a1e0::1/128")), network(tailnet("fd7a:115c:a1e0::2/128")), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			demandMeeting(t, c.a, c.b, c.ofA, c.ofB)
			demandMeeting(t, c.b, c.a, c.ofB, c.ofA)
		})
	}
}

func demandMeeting(t *testing.T, a, b Network, wantA, wantB string) {
	t.Helper()
	ofA, ofB, ok := Meet(a, b)
	if ofA != wantA || ofB != wantB || ok != (wantA != "") {
		t.Errorf("%v and %v meet at %q and %q (%v), want %q and %q", a.Addresses, b.Addresses, ofA, ofB, ok, wantA, wantB)
	}
}
