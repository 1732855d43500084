package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
)

// adminConfigText is k3s.yaml as k3s writes it, with short contents.
const adminConfigText = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Y2E=
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {}
users:
- name: default
  user:
    client-certificate-data: Y2VydA==
    client-key-data: KEY
`

// writeConfig writes a configuration that names the box oldpc.
func writeConfig(t *testing.T, box *hosttest.Box) string {
	t.Helper()
	target := box.Target()
	path := filepath.Join(t.TempDir(), configName)
	text := fmt.Sprintf("hosts:\n  oldpc:\n    address: %s\n    port: %d\n    user: %s\n    identityFiles: [%s]\n    knownHostsFile: .known_hosts\n    hostKeys: [%q]\n",
		target.Addr, target.Port, target.User, target.IdentityFiles[0], target.HostKeys[0])
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
