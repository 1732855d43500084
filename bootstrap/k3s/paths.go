package k3s

import "strings"

// Where things are on the box. They are k3s's own places, so that whoever
// knows k3s finds everything.
const (
	binaryPath  = "/usr/local/bin/k3s"
	killallPath = "/usr/local/bin/k3s-killall.sh"
	configPath  = "/etc/rancher/k3s/config.yaml"
	adminPath   = "/etc/rancher/k3s/k3s.yaml"
	tokenPath   = "/etc/rancher/k3s/token"
	unitName    = "k3s.service"
	dataDir     = "/var/lib/rancher/k3s"
	kubeletPath = dataDir + "/agent/etc/kubelet.conf.d/10-ssg-bootstrap.conf"
	// k3s has containerd read the files of this folder since 1.36 (k3s#13680).
	containerdPath = dataDir + "/agent/etc/containerd/config-v3.toml.d/10-ssg-bootstrap.toml"
	imagesDir      = dataDir + "/agent/images"
	imagesFile     = "k3s-airgap-images-amd64.tar.zst"
	imagesPath     = imagesDir + "/" + imagesFile
	imagesCache    = imagesDir + "/.cache.json"
	tlsDir         = dataDir + "/server/tls"
	storageDir     = dataDir + "/storage"
	ourDir         = "/var/lib/ssg-bootstrap"
	binaryRecord   = ourDir + "/k3s.record"
	imagesRecord   = ourDir + "/k3s-images.record"
	// digestPath says what k3s would load if it started now, runDigestPath
	// what the process that runs has loaded.
	digestPath    = ourDir + "/k3s.digest"
	runDigestPath = "/run/ssg-bootstrap/k3s.digest"
	// podsPidPath holds the process of k3s under which all system pods were
	// seen to work.
	podsPidPath = "/run/ssg-bootstrap/k3s-pods.pid"
)

// kind is what k3s is on a box, by the name of its service. The two differ in
// what their files are called, and what those say is written once.
type kind string

const (
	serverKind kind = "k3s"
	agentKind  kind = "k3s-agent"
)

func (k kind) unit() string     { return string(k) + ".service" }
func (k kind) unitPath() string { return "/etc/systemd/system/" + k.unit() }
func (k kind) env() string      { return "/etc/default/" + string(k) }
func (k kind) remove() string   { return "/usr/local/bin/" + string(k) + "-uninstall.sh" }

// text makes an agent's file of a server's.
func (k kind) text(ofServer string) string {
	if k == serverKind {
		return ofServer
	}
	return strings.NewReplacer(
		"k3s.service", k.unit(), "k3s server", "k3s agent", "k3s-uninstall.sh", string(k)+"-uninstall.sh", "/etc/default/k3s", k.env(),
	).Replace(ofServer)
}
