package cli

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
)

// Tunnel ports lie where neither well-known services nor the ports that Linux
// hands out by itself are.
const (
	firstPort = 16443
	portCount = 10000
)

// tunnelPort is the local port of a host's tunnel: the same every time, since
// the kubeconfig names it, and another one for each host.
func tunnelPort(stateDir, host string) (int, error) {
	path := filepath.Join(stateDir, "tunnel-ports.json")
	ports := map[string]int{}
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &ports)
	}
	if err != nil && !os.IsNotExist(err) {
		return 0, fmt.Errorf("read tunnel ports: %w", err)
	}
	if port := ports[host]; port != 0 {
		return port, nil
	}
	taken := make(map[int]bool, len(ports))
	for _, port := range ports {
		taken[port] = true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(host)))
	n := int(h.Sum32() % portCount)
	for taken[firstPort+n] {
		n = (n + 1) % portCount
	}
	ports[host] = firstPort + n
	data, err = json.MarshalIndent(ports, "", "  ")
	if err != nil {
		return 0, fmt.Errorf("write tunnel ports: %w", err)
	}
	return ports[host], atomicfile.Write(path, append(data, '\n'), 0o600)
}
