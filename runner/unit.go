package runner

import (
	"fmt"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// dropIn is what the unit that svc.sh writes lacks: it has no Restart= at all,
// so that a runner which ended once stays away, and nothing keeps a job from
// the rest of the box.
func dropIn(unit string, limits profiles.Runner) managed.File {
	var b strings.Builder
	b.WriteString(managed.Marker + `.

[Unit]
Wants=network-online.target
After=network-online.target
# However often it ends: what keeps it from GitHub may be gone in an hour.
StartLimitIntervalSec=0

[Service]
# Also after the runner has ended by itself, which its wrapper reports as
# success whatever the reason.
Restart=always
RestartSec=15
`)
	limit := func(key string, n profiles.ByteSize) {
		if n > 0 {
			fmt.Fprintf(&b, "%s=%d\n", key, int64(n))
		}
	}
	limit("MemoryHigh", limits.MemoryHigh)
	limit("MemoryMax", limits.MemoryMax)
	fmt.Fprintf(&b, `# A job that takes too much loses its largest process, not its runner.
OOMPolicy=continue
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths=%s %s
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
UMask=0066
# .NET and node make their code while they run.
MemoryDenyWriteExecute=no
# Of k3s only what kubectl consists of is left.
InaccessiblePaths=-/etc/rancher -/var/lib/rancher/k3s/server -/var/lib/rancher/k3s/agent -/var/lib/rancher/k3s/storage -/var/lib/tailscale -%s
`, rootDir, homeDir, ourDir)
	return managed.File{Path: unitsDir + "/" + unit + ".d/" + dropInName, Mode: 0o644, Content: []byte(b.String())}
}

// ownFile is a file in the runner's folder. It is written as the runner's user:
// root does not write where a job could have laid a link.
type ownFile struct{ path, content string }

// ownFiles are what every job gets: where programs are, and which cluster it
// deploys to. kubectl is k3s under another name, and begins by reading the
// server's configuration, which is root's: one that it may not read is the end.
func ownFiles() []ownFile {
	return []ownFile{
		{rootDir + "/.path", jobPath + "\n"},
		{rootDir + "/.env", "LANG=C.UTF-8\nKUBECONFIG=" + kubeconfigPath + "\nK3S_CONFIG_FILE=/dev/null\n"},
	}
}

// files are the same as managed looks at them.
func (o ownFile) file() managed.File {
	return managed.File{Path: o.path, Mode: 0o644, Content: []byte(o.content), Ours: true}
}
