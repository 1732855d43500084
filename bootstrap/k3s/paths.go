package k3s

// Where things are on the box. They are k3s's own places, so that whoever
// knows k3s finds everything.
const (
	binaryPath   = "/usr/local/bin/k3s"
	killallPath  = "/usr/local/bin/k3s-killall.sh"
	removePath   = "/usr/local/bin/k3s-uninstall.sh"
	configPath   = "/etc/rancher/k3s/config.yaml"
	adminPath    = "/etc/rancher/k3s/k3s.yaml"
	envPath      = "/etc/default/k3s"
	unitEnvPath  = "/etc/systemd/system/k3s.service.env"
	unitName     = "k3s.service"
	unitPath     = "/etc/systemd/system/" + unitName
	dataDir      = "/var/lib/rancher/k3s"
	kubeletPath  = dataDir + "/agent/etc/kubelet.conf.d/10-ssg-bootstrap.conf"
	imagesDir    = dataDir + "/agent/images"
	imagesFile   = "k3s-airgap-images-amd64.tar.zst"
	imagesPath   = imagesDir + "/" + imagesFile
	imagesCache  = imagesDir + "/.cache.json"
	tlsDir       = dataDir + "/server/tls"
	storageDir   = dataDir + "/storage"
	ourDir       = "/var/lib/ssg-bootstrap"
	binaryRecord = ourDir + "/k3s.record"
	imagesRecord = ourDir + "/k3s-images.record"
	// digestPath says what k3s would load if it started now, runDigestPath
	// what the process that runs has loaded.
	digestPath    = ourDir + "/k3s.digest"
	runDigestPath = "/run/ssg-bootstrap/k3s.digest"
	// podsPidPath holds the process of k3s under which all system pods were
	// seen to work.
	podsPidPath = "/run/ssg-bootstrap/k3s-pods.pid"
)
