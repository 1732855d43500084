package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/util/iptables"
)

// resync repairs rules that a firewall's reload took away.
const resync = 30 * time.Second

// LinkPlugins fills the folder where containerd looks for network plugins with
// links into the release, and leaves what others put there.
func LinkPlugins(p layout.Paths, bin string) error {
	if err := os.MkdirAll(p.CNIBin(), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"bridge", "host-local", "portmap", "loopback", "bandwidth"} {
		link, target := filepath.Join(p.CNIBin(), name), filepath.Join(bin, name)
		if old, err := os.Readlink(link); err == nil && old == target {
			continue
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Symlink(target, link); err != nil {
			return err
		}
	}
	return nil
}

// ConfigureNetwork waits for the node's share of the pod network and then tells
// containerd how to attach pods to it. Until then the node is not ready.
func ConfigureNetwork(ctx context.Context, client kubernetes.Interface, node string, p layout.Paths) error {
	var cidr string
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		n, err := client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, nil // not registered yet, or the API server is starting
		}
		cidr = n.Spec.PodCIDR
		return cidr != "", nil
	})
	if err != nil {
		return err
	}
	conf, err := networkConfig(cidr)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(p.CNIConf(), "10-flannel.conflist"), conf, 0o600); err != nil {
		return fmt.Errorf("write network configuration: %w", err)
	}
	return nil
}

func networkConfig(cidr string) ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"name":       "cbr0",
		"cniVersion": "1.0.0",
		"plugins": []object{
			{
				"type": "bridge", "bridge": "cni0", "mtu": 1450,
				"isGateway": true, "isDefaultGateway": true, "hairpinMode": true, "forceAddress": true,
				"ipam": object{"type": "host-local", "ranges": [][]object{{{"subnet": cidr}}}},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
			{"type": "bandwidth", "capabilities": object{"bandwidth": true}},
		},
	}, "", "  ")
}

// KeepRules keeps the rules that let pods out of the box, under the names that
// flannel uses, so that whatever cleans up after k3s finds them.
func KeepRules(ctx context.Context, clusterCIDR string) error {
	ipt := iptables.New(iptables.ProtocolIPv4)
	var last error
	wait.UntilWithContext(ctx, func(context.Context) { last = ensureRules(ipt, clusterCIDR) }, resync)
	return errors.Join(ctx.Err(), last)
}

type rule struct {
	table iptables.Table
	chain iptables.Chain
	args  []string
}

func ensureRules(ipt iptables.Interface, cidr string) error {
	const postrouting, forward = iptables.Chain("FLANNEL-POSTRTG"), iptables.Chain("FLANNEL-FWD")
	comment := []string{"-m", "comment", "--comment", "flanneld"}
	with := func(args ...string) []string { return append(append([]string{}, comment...), args...) }
	for chain, table := range map[iptables.Chain]iptables.Table{postrouting: iptables.TableNAT, forward: iptables.TableFilter} {
		if _, err := ipt.EnsureChain(table, chain); err != nil {
			return fmt.Errorf("make chain %s: %w", chain, err)
		}
	}
	rules := []rule{
		// Pod to pod keeps its source; everything else leaves as the box.
		{iptables.TableNAT, postrouting, with("-s", cidr, "-d", cidr, "-j", "RETURN")},
		{iptables.TableNAT, postrouting, with("-s", cidr, "!", "-d", "224.0.0.0/4", "-j", "MASQUERADE", "--random-fully")},
		{iptables.TableNAT, iptables.ChainPostrouting, []string{"-m", "comment", "--comment", "flanneld masq", "-j", string(postrouting)}},
		{iptables.TableFilter, forward, with("-s", cidr, "-j", "ACCEPT")},
		{iptables.TableFilter, forward, with("-d", cidr, "-j", "ACCEPT")},
		{iptables.TableFilter, iptables.ChainForward, []string{"-m", "comment", "--comment", "flanneld forward", "-j", string(forward)}},
	}
	for _, r := range rules {
		if _, err := ipt.EnsureRule(iptables.Append, r.table, r.chain, r.args...); err != nil {
			return fmt.Errorf("add rule to %s: %w", r.chain, err)
		}
	}
	return nil
}
