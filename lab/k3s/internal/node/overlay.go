package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The overlay's numbers are flannel's, so that a firewall made for the one lets
// the other through.
const (
	overlayName = "flannel.1"
	overlayID   = 1
	overlayPort = 8472
)

// Overlay carries packets between the pods of different boxes, as flannel's vxlan
// does. A cluster of one node has none.
type Overlay struct {
	Client kubernetes.Interface
	Node   string
	Log    *slog.Logger
}

// member is one node's share of the pod network.
type member struct {
	pods netip.Prefix
	at   netip.Addr
}

// vtep is the address of the node in the overlay.
func (m member) vtep() net.IP { return m.pods.Masked().Addr().AsSlice() }

// mac follows from the node's address, so that nobody has to be told.
func (m member) mac() net.HardwareAddr {
	ip := m.at.As4()
	return net.HardwareAddr{0x02, 0x42, ip[0], ip[1], ip[2], ip[3]}
}

func (m member) network() *net.IPNet {
	return &net.IPNet{IP: m.vtep(), Mask: net.CIDRMask(m.pods.Bits(), 32)}
}

// Run follows the cluster's nodes until the context ends.
func (o Overlay) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := o.follow(ctx); err != nil && ctx.Err() == nil {
			o.Log.Error("pod network between nodes: " + err.Error())
		}
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (o Overlay) follow(ctx context.Context) error {
	w, err := o.Client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer w.Stop()
	nodes := map[string]member{}
	for event := range w.ResultChan() {
		n, ok := event.Object.(*core.Node)
		if !ok {
			return fmt.Errorf("the watch of nodes says %s", event.Type)
		}
		m, known := memberOf(n)
		if known && event.Type != "DELETED" {
			if nodes[n.Name] == m {
				continue
			}
			nodes[n.Name] = m
		} else {
			delete(nodes, n.Name)
		}
		if err := settle(nodes, o.Node); err != nil {
			return err
		}
	}
	return nil
}

func memberOf(n *core.Node) (member, bool) {
	pods, err := netip.ParsePrefix(n.Spec.PodCIDR)
	if err != nil || !pods.Addr().Is4() {
		return member{}, false
	}
	for _, a := range n.Status.Addresses {
		if at, err := netip.ParseAddr(a.Address); a.Type == core.NodeInternalIP && err == nil && at.Is4() {
			return member{pods, at}, true
		}
	}
	return member{}, false
}

// settle makes the kernel's tables say where the others' pods are.
func settle(nodes map[string]member, self string) error {
	me, known := nodes[self]
	if !known || len(nodes) < 2 {
		return nil
	}
	link, err := overlayLink(me)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for name, m := range nodes {
		if name == self {
			continue
		}
		wanted[m.network().String()] = true
		if err := lead(link, m); err != nil {
			return fmt.Errorf("lead to the pods of %s: %w", name, err)
		}
	}
	return dropOthers(link, wanted)
}

// overlayLink makes the device, or makes it again where the node's address has
// changed.
func overlayLink(me member) (netlink.Link, error) {
	want := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: overlayName, HardwareAddr: me.mac()},
		VxlanId:   overlayID, Port: overlayPort, SrcAddr: me.at.AsSlice(), Learning: false,
	}
	parent, err := linkWith(me.at)
	if err != nil {
		return nil, err
	}
	want.VtepDevIndex = parent.Attrs().Index
	want.MTU = parent.Attrs().MTU - 50
	old, err := netlink.LinkByName(overlayName)
	if v, ok := old.(*netlink.Vxlan); err == nil && ok && v.SrcAddr.Equal(want.SrcAddr) && v.VtepDevIndex == want.VtepDevIndex && v.HardwareAddr.String() == want.HardwareAddr.String() {
		return old, nil
	}
	if err == nil {
		if err := netlink.LinkDel(old); err != nil {
			return nil, fmt.Errorf("remove old %s: %w", overlayName, err)
		}
	}
	if err := netlink.LinkAdd(want); err != nil {
		return nil, fmt.Errorf("make %s: %w", overlayName, err)
	}
	link, err := netlink.LinkByName(overlayName)
	if err != nil {
		return nil, err
	}
	own := &netlink.Addr{IPNet: &net.IPNet{IP: me.vtep(), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrReplace(link, own); err != nil {
		return nil, fmt.Errorf("give %s its address: %w", overlayName, err)
	}
	return link, netlink.LinkSetUp(link)
}

// linkWith finds the device that has an address.
func linkWith(at netip.Addr) (netlink.Link, error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.IP.Equal(at.AsSlice()) {
			return netlink.LinkByIndex(a.LinkIndex)
		}
	}
	return nil, fmt.Errorf("no device has the node's address %s", at)
}

// lead tells the kernel which way the pods of another node are: their network is
// behind its address in the overlay, that is at a hardware address, and that is
// at the node.
func lead(link netlink.Link, m member) error {
	index := link.Attrs().Index
	return errors.Join(
		netlink.NeighSet(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, Type: unix.RTN_UNICAST, IP: m.vtep(), HardwareAddr: m.mac()}),
		netlink.NeighSet(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, Family: unix.AF_BRIDGE, Flags: netlink.NTF_SELF, IP: m.at.AsSlice(), HardwareAddr: m.mac()}),
		netlink.RouteReplace(&netlink.Route{LinkIndex: index, Scope: netlink.SCOPE_UNIVERSE, Dst: m.network(), Gw: m.vtep(), Flags: int(netlink.FLAG_ONLINK)}),
	)
}

// dropOthers removes the ways to nodes that are no more.
func dropOthers(link netlink.Link, wanted map[string]bool) error {
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Dst == nil || r.Gw == nil || wanted[r.Dst.String()] {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil {
			return fmt.Errorf("remove the way to %s: %w", r.Dst, err)
		}
	}
	return nil
}
