package node

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// PrepareKernel loads what pods' networks need and turns forwarding on. A module
// may be built in and a setting absent: what matters shows up later, by name, in
// kube-proxy or the plugins, so problems here are only reported.
func PrepareKernel(ctx context.Context, log *slog.Logger, keepSettings bool) {
	for _, m := range []string{"overlay", "nf_conntrack", "br_netfilter", "iptable_nat", "iptable_filter"} {
		if _, err := os.Stat(filepath.Join("/sys/module", m)); err == nil {
			continue
		}
		if out, err := exec.CommandContext(ctx, "modprobe", m).CombinedOutput(); err != nil {
			log.Warn("Failed to load kernel module", "module", m, "error", err, "output", strings.TrimSpace(string(out)))
		}
	}
	if keepSettings {
		return
	}
	for key, value := range map[string]string{
		"net/ipv4/conf/all/forwarding":        "1",
		"net/ipv4/conf/default/forwarding":    "1",
		"net/bridge/bridge-nf-call-iptables":  "1",
		"net/bridge/bridge-nf-call-ip6tables": "1",
		"kernel/panic":                        "10",
		"kernel/panic_on_oops":                "1",
		"vm/overcommit_memory":                "1",
		"net/netfilter/nf_conntrack_max":      "131072",
	} {
		setKernel(log, key, value)
	}
}

// UnderSystemd says whether systemd started this process and so manages its
// cgroups. From a shell, as in k3s, the cgroups are made by hand.
func UnderSystemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil && os.Getenv("INVOCATION_ID") != ""
}

func cgroupDriver() string {
	if UnderSystemd() {
		return "systemd"
	}
	return "cgroupfs"
}

func setKernel(log *slog.Logger, key, value string) {
	path := filepath.Join("/proc/sys", key)
	old, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(old)) == value {
		return
	}
	if err == nil {
		err = os.WriteFile(path, []byte(value), 0o644)
	}
	if err != nil {
		log.Warn("Failed to set kernel parameter", "key", key, "value", value, "error", err)
	}
}
