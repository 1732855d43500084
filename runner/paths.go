package runner

// Where things are on the box. What root writes lies in folders that only root
// may change: a job could otherwise lead root's hand by a symbolic link.
const (
	userName = "github-runner"
	// userComment marks the user as ours.
	userComment = "GitHub Actions runner (ssg-bootstrap)"

	baseDir = "/var/lib/github-runner"
	// rootDir is the runner's program, its registration and its jobs; homeDir
	// is its user's home. Both are the user's.
	rootDir        = baseDir + "/runner"
	freshDir       = baseDir + "/runner.new"
	homeDir        = baseDir + "/home"
	kubeconfigPath = baseDir + "/kubeconfig"

	binDir     = "/usr/local/lib/ssg-bootstrap/bin"
	helmPath   = binDir + "/helm"
	ourDir     = "/var/lib/ssg-bootstrap"
	helmRecord = ourDir + "/helm.record"
	helmFile   = ourDir + "/helm.tar.gz"
	// archivePath stays on the box: registering anew begins with programs that
	// no job has had its hands on, without sending them again.
	archivePath   = ourDir + "/actions-runner.tar.gz"
	archiveRecord = ourDir + "/actions-runner.record"

	unitsDir = "/etc/systemd/system"
	// unitPrefix is svc.sh's.
	unitPrefix = "actions.runner."
	dropInName = "10-ssg-bootstrap.conf"
	serverCA   = "/var/lib/rancher/k3s/server/tls/server-ca.crt"
)

// jobPath is the search path of jobs: kubectl is a link to k3s in
// /usr/local/bin.
const jobPath = binDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
