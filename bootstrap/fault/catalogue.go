package fault

import "sort"

// The codes, by the layer that reports them.
const (
	Unclassified Code = "failed"
	Interrupted  Code = "interrupted"

	// Usage and configuration.
	Usage         Code = "usage"
	ConfigInvalid Code = "config-invalid"
	HostUnknown   Code = "host-unknown"
	NeedsAnswer   Code = "needs-answer"

	// Reaching the box.
	Unreachable       Code = "unreachable"
	HostKeyUnknown    Code = "host-key-unknown"
	HostKeyChanged    Code = "host-key-changed"
	AuthRefused       Code = "auth-refused"
	SudoRefused       Code = "sudo-refused"
	LinkLost          Code = "link-lost"
	LinkStalled       Code = "link-stalled"
	Locked            Code = "locked"
	CommandFailed     Code = "command-failed"
	DiskFull          Code = "disk-full"
	ReadOnlyFS        Code = "read-only-filesystem"
	PreflightRefused  Code = "preflight-refused"
	ForeignConfig     Code = "foreign-config"
	NotConverged      Code = "not-converged"
	WaitStalled       Code = "wait-stalled"
	StepDeferred      Code = "step-deferred"
	ChangesFound      Code = "changes-found"
	NotInstalled      Code = "not-installed"
	KubeconfigInvalid Code = "kubeconfig-invalid"

	// Artifacts.
	FetchFailed    Code = "fetch-failed"
	DigestMismatch Code = "digest-mismatch"
	LockMismatch   Code = "lock-mismatch"
	UnknownVersion Code = "unknown-version"

	// The tailnet.
	TailnetRefused     Code = "tailnet-refused"
	TailnetNameTaken   Code = "tailnet-name-taken"
	TailnetUnreachable Code = "tailnet-unreachable"

	// Images.
	ImageUnknown    Code = "image-unknown"
	ImageUnsuitable Code = "image-unsuitable"
	RegistryRefused Code = "registry-refused"

	// Programs of this computer.
	ToolMissing Code = "tool-missing"
	ToolFailed  Code = "tool-failed"

	// The application's release.
	SecretsUnreadable    Code = "secrets-unreadable"
	SecretsDiffer        Code = "secrets-differ"
	ClusterUnreachable   Code = "cluster-unreachable"
	NamespaceTerminating Code = "namespace-terminating"
	ReleaseFailed        Code = "release-failed"
	SmokeFailed          Code = "smoke-failed"
	RotationFailed       Code = "rotation-failed"

	// The GitHub runner.
	GitHubToken       Code = "github-token-missing"
	GitHubRefused     Code = "github-refused"
	GitHubUnavailable Code = "github-unavailable"
	RepositoryPublic  Code = "repository-public"
	RunnerBusy        Code = "runner-busy"
	RunnerRefused     Code = "runner-refused"

	// Measuring.
	BenchInterrupted Code = "bench-interrupted"
	BenchIncomplete  Code = "bench-incomplete"
	BenchRegressed   Code = "bench-regressed"

	// Backups.
	BackupFailed     Code = "backup-failed"
	BackupBusy       Code = "backup-busy"
	BackupNone       Code = "backup-none"
	BackupUnreadable Code = "backup-unreadable"
	RestoreRefused   Code = "restore-refused"
	RestoreFailed    Code = "restore-failed"
)

// Entry documents one code.
type Entry struct {
	Code Code
	Exit Exit
	// Means says in one sentence what happened.
	Means string
	// Next is the action that fits when the error itself has none.
	Next string
}

// Catalogue returns every code, sorted, for the reference.
func Catalogue() []Entry {
	all := catalogue()
	out := make([]Entry, 0, len(all))
	for code, e := range all {
		e.Code = code
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Code < out[j].Code })
	return out
}

const again = "run the same command again; finished work is not repeated"

func catalogue() map[Code]Entry {
	return map[Code]Entry{
		Interrupted:  {Exit: ExitInterrupted, Means: "You stopped the run with Ctrl-C; nothing is undone.", Next: again},
		Unclassified: {Exit: ExitFailed, Means: "Something failed that has no code of its own.", Next: "run it again with -v and read the last lines"},

		Usage:         {Exit: ExitUsage, Means: "The command line is not valid.", Next: "see `ssg-bootstrap help`"},
		ConfigInvalid: {Exit: ExitUsage, Means: "ssg-bootstrap.yaml or a profile has mistakes; all of them are listed.", Next: "correct the listed lines and run the command again"},
		HostUnknown:   {Exit: ExitUsage, Means: "The host is not in the configuration, not an SSH alias and not an address.", Next: "use --host user@address, or add it to ssg-bootstrap.yaml with `ssg-bootstrap init`"},
		NeedsAnswer:   {Exit: ExitUsage, Means: "A question would be asked, but there is no terminal to ask it on.", Next: "run it in a terminal, or give the answer by the named flag or variable"},

		Unreachable:       {Exit: ExitUnreachable, Means: "No SSH server answered at the address.", Next: "check power and cable, then `ssg-bootstrap doctor --host HOST`"},
		HostKeyUnknown:    {Exit: ExitUnreachable, Means: "The host's key is not known and nobody confirmed it.", Next: "compare the fingerprint on the box (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`) and pass it with --host-key SHA256:…"},
		HostKeyChanged:    {Exit: ExitUnreachable, Means: "The host presents another key than the one pinned.", Next: "if you reinstalled the box, compare the new fingerprint and pass it with --host-key SHA256:…; if not, do not connect"},
		AuthRefused:       {Exit: ExitUnreachable, Means: "The SSH server refused user, key or password.", Next: "check user and key with `ssh -v HOST`"},
		SudoRefused:       {Exit: ExitUnreachable, Means: "The user may not become root, or the sudo password is wrong.", Next: "set SSG_SUDO_PASSWORD or answer the prompt; the user must be in the sudo group"},
		LinkLost:          {Exit: ExitFailed, Means: "The connection broke and did not come back.", Next: again},
		LinkStalled:       {Exit: ExitFailed, Means: "The connection is open but nothing moves on it.", Next: again},
		Locked:            {Exit: ExitFailed, Means: "Another run is at work on this host.", Next: "wait for the named holder, or stop it; its lock dies with it"},
		CommandFailed:     {Exit: ExitFailed, Means: "A command on the box failed.", Next: "read its output above; then run the same command again"},
		DiskFull:          {Exit: ExitFailed, Means: "The box has no space left.", Next: "free space on the named file system, then run the same command again"},
		ReadOnlyFS:        {Exit: ExitFailed, Means: "The box's file system is mounted read-only, often after a disk error.", Next: "look at `dmesg` on the box, mend the disk, then run the same command again"},
		PreflightRefused:  {Exit: ExitPreflight, Means: "The box cannot carry the cluster as it is; each reason has its remedy.", Next: "follow the remedies, then `ssg-bootstrap doctor --host HOST`"},
		ForeignConfig:     {Exit: ExitPreflight, Means: "k3s is there already and somebody else configured it.", Next: "look at the diff of `ssg-bootstrap plan`; take it over with `ssg-bootstrap install --adopt`"},
		NotConverged:      {Exit: ExitFailed, Means: "A step was applied and its plan is still not empty.", Next: "run `ssg-bootstrap plan` to see what remains"},
		WaitStalled:       {Exit: ExitFailed, Means: "Something that was waited for stopped making progress.", Next: "look at what was last seen; then run the same command again"},
		StepDeferred:      {Exit: ExitFailed, Means: "A step cannot be planned before the one it needs is applied.", Next: "run install without --only or --skip"},
		ChangesFound:      {Exit: ExitChanges, Means: "plan --exit-code found changes.", Next: "`ssg-bootstrap install`"},
		NotInstalled:      {Exit: ExitFailed, Means: "k3s is not installed on the box.", Next: "`ssg-bootstrap install --host HOST`"},
		KubeconfigInvalid: {Exit: ExitUsage, Means: "The kubeconfig file to merge into cannot be read; it was left as it is.", Next: "mend it, or name another with --kubeconfig"},

		FetchFailed:          {Exit: ExitFailed, Means: "An artifact could not be downloaded to this computer.", Next: again},
		DigestMismatch:       {Exit: ExitFailed, Means: "What was downloaded is not what its release says; it was thrown away.", Next: "run it again; if it persists, the mirror is damaged or tampered with: try another"},
		LockMismatch:         {Exit: ExitFailed, Means: "An artifact differs from the one pinned in ssg-bootstrap.lock.", Next: "find out why the release changed; only then run the same command again with --update-lock"},
		SecretsUnreadable:    {Exit: ExitFailed, Means: "The secrets kept on this computer cannot be opened; they were left as they are.", Next: "bring back the age identity that they were encrypted for"},
		SecretsDiffer:        {Exit: ExitFailed, Means: "The secrets file and the secrets in use are not the same.", Next: "change a secret that is in use with `ssg-bootstrap rotate`"},
		ClusterUnreachable:   {Exit: ExitFailed, Means: "The cluster's API does not answer or refuses us.", Next: "see whether `kubectl get nodes` works there, then run the same command again"},
		NamespaceTerminating: {Exit: ExitFailed, Means: "The release's namespace is being deleted; nothing can be made in it.", Next: "wait until it is gone, then run the same command again"},
		ReleaseFailed:        {Exit: ExitFailed, Means: "The release did not come up; what served before was put back.", Next: "read the last words of the pod above, then run the same command again"},
		SmokeFailed:          {Exit: ExitFailed, Means: "All pods are Ready, but the application does not work.", Next: "read what the test saw above; `kubectl -n studentsystemgo logs deploy/ssg-studentsystemgo` says more"},
		RotationFailed:       {Exit: ExitFailed, Means: "A rotation stopped between two stages; old and new secrets both work until it is finished.", Next: "run the same command again; it goes on where it stopped"},

		GitHubToken:        {Exit: ExitUsage, Means: "GitHub is to be asked about the runner, and there is no token to ask with.", Next: "set GITHUB_TOKEN"},
		GitHubRefused:      {Exit: ExitFailed, Means: "GitHub does not let the token do what is needed for the runner.", Next: "use a fine-grained token with the permission Administration: read and write"},
		GitHubUnavailable:  {Exit: ExitFailed, Means: "GitHub's API cannot be reached, or gives no usable answer.", Next: again},
		RepositoryPublic:   {Exit: ExitPreflight, Means: "The runner's repository is public: anybody's pull request could run programs on the box.", Next: "make the repository private, or take the risk with --allow-public-repo"},
		RunnerBusy:         {Exit: ExitFailed, Means: "The runner works on a job and is never replaced meanwhile.", Next: "wait for the job to end, then run the same command again"},
		RunnerRefused:      {Exit: ExitFailed, Means: "The runner's own program could not be registered or does not stay online.", Next: "read what it said above, then run the same command again"},
		TailnetRefused:     {Exit: ExitFailed, Means: "The tailnet does not let the box in, or not as it is configured.", Next: "run `sudo tailscale status` on the box, then the same command again"},
		TailnetNameTaken:   {Exit: ExitFailed, Means: "Another device of the tailnet holds the box's name; it was left alone.", Next: "remove that device in the admin console, or set tailnet.hostname"},
		TailnetUnreachable: {Exit: ExitFailed, Means: "The tailnet's control server, its relays or its API do not answer.", Next: again},

		UnknownVersion:   {Exit: ExitUsage, Means: "The release does not exist at the mirror.", Next: "check the version in the profile or the configuration, or the mirror's address"},
		BackupFailed:     {Exit: ExitFailed, Means: "The backup was not finished and does not count; earlier ones are as they were.", Next: "run the same command again; what has arrived is not sent again"},
		BackupBusy:       {Exit: ExitFailed, Means: "Another run writes or reads this host's backups.", Next: "wait for the named run, or stop it; its lock dies with it"},
		BackupNone:       {Exit: ExitUsage, Means: "There is no such backup on this computer.", Next: "make one with `ssg-bootstrap backup --host HOST`"},
		BackupUnreadable: {Exit: ExitFailed, Means: "A backup is damaged, incomplete or made for another age identity; it was left as it is.", Next: "see which others there are with `ssg-bootstrap backup list --host HOST`"},
		RestoreRefused:   {Exit: ExitPreflight, Means: "The backup cannot be restored onto this box; nothing was changed.", Next: "follow what the message says, or take another backup"},
		RestoreFailed:    {Exit: ExitFailed, Means: "The restore was not finished. The application stays stopped, so that nothing is written that would be lost.", Next: "run the same command again; it begins this part anew"},

		BenchInterrupted: {Exit: ExitFailed, Means: "The box restarted while it was measured; the figures so far are printed.", Next: "run the same command again; it removes what was left behind first"},
		BenchIncomplete:  {Exit: ExitFailed, Means: "Some rows could not be measured; each says why, the others are printed and kept.", Next: "mend what the empty rows name, then run the same command again"},
		BenchRegressed:   {Exit: ExitChanges, Means: "bench --gate found a figure that is worse than in the last result.", Next: "see what changed with `ssg-bootstrap bench compare`"},
		ToolMissing:      {Exit: ExitFailed, Means: "A program that the command works with is not installed on this computer.", Next: "install the named program, then run the same command again"},
		ToolFailed:       {Exit: ExitFailed, Means: "A program of this computer, docker or k3d, failed.", Next: "read what it said above; then run the same command again"},

		ImageUnknown:    {Exit: ExitUsage, Means: "The registry, folder or archive has no such image.", Next: "check the image's name and tag"},
		ImageUnsuitable: {Exit: ExitPreflight, Means: "The box cannot run the image: it is for another or a newer processor, or no image at all. Nothing was sent.", Next: "use an image for linux/amd64 that is made of Debian, Ubuntu or Alpine"},
		RegistryRefused: {Exit: ExitFailed, Means: "The registry does not let this computer read the image, or hides that there is none.", Next: "check the name; if the image is private, `docker login` on this computer"},
	}
}
