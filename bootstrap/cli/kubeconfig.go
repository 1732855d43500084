package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cli/kubeconfig"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
)

type kubeconfigOptions struct {
	hostFlags
	file    string
	via     string
	context string
	use     bool
	yes     bool
	print   bool
}

func newCmdKubeconfig(a *app) *cobra.Command {
	var o kubeconfigOptions
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Add the cluster to your kubeconfig, as a context named after the host",
		Long: `Add the cluster to your kubeconfig, as a context named after the host. The rest
of the file stays as it is. The context leads through a tunnel, which must be
open when kubectl is used, or with --via tailnet straight to the box, for a
computer that is in the same tailnet.`,
		Example: "  ssg-bootstrap kubeconfig --host oldpc --via tailnet\n  ssg-bootstrap kubeconfig --host oldpc\n  ssg-bootstrap kubeconfig --host oldpc --kubeconfig ./oldpc.yaml\n  ssg-bootstrap tunnel --host oldpc -- kubectl --context oldpc get nodes",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return kubeconfigRun(cmd.Context(), a, o) },
	}
	o.hostFlags.add(a, cmd)
	cmd.Flags().StringVar(&o.file, "kubeconfig", "", "the `file` to add to (default: the first of KUBECONFIG, then ~/.kube/config)")
	cmd.Flags().StringVar(&o.via, "via", viaTunnel, "the `way` to the API: tunnel, or tailnet")
	complete(cmd, "via", func() []string { return []string{viaTunnel, viaTailnet} })
	cmd.Flags().StringVar(&o.context, "context", "", "the context's `name` (default: the host's)")
	cmd.Flags().BoolVar(&o.use, "use", false, "make it the current context")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "replace a context of the same name that leads elsewhere")
	cmd.Flags().BoolVar(&o.print, "print", false, "print it instead of adding it; it holds the cluster's admin key")
	return cmd
}

// The ways to the API.
const (
	viaTunnel  = "tunnel"
	viaTailnet = "tailnet"
)

// KubeconfigData is what was written, as programs get it.
type KubeconfigData struct {
	Path    string `json:"path,omitempty"`
	Context string `json:"context"`
	// Port is the tunnel's, Server the address over the tailnet.
	Port    int    `json:"port,omitempty"`
	Server  string `json:"server,omitempty"`
	Changed bool   `json:"changed"`
}

func kubeconfigRun(ctx context.Context, a *app, o kubeconfigOptions) error {
	if o.via != viaTunnel && o.via != viaTailnet {
		return fault.New(fault.Usage, "use --via tunnel or --via tailnet", "there is no way called %q", o.via)
	}
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if o.context == "" {
		o.context = s.name
	}
	admin, err := s.adminConfig(ctx)
	if err != nil {
		return err
	}
	entry := kubeconfig.Entry{Name: o.context, Use: o.use, Replace: o.yes}
	if o.via == viaTailnet {
		entry.Server, err = s.tailnetAddress(ctx)
	} else {
		entry.Port, err = tunnelPort(a.stateDir(), s.name)
	}
	if err != nil {
		return err
	}
	if o.print {
		alone, err := kubeconfig.Merge(nil, admin, entry)
		if err != nil {
			return err
		}
		a.answer(map[string]string{"kubeconfig": string(alone)}, func(w io.Writer) { _, _ = w.Write(alone) })
		return nil
	}
	path := a.kubeconfigPath(o.file)
	changed, err := mergeInto(path, admin, entry)
	if err != nil {
		return err
	}
	data := KubeconfigData{Path: path, Context: o.context, Port: entry.Port, Server: entry.Server, Changed: changed}
	a.answer(data, func(w io.Writer) { data.write(w, s.name) })
	return nil
}

func (d KubeconfigData) write(w io.Writer, host string) {
	word := "is in"
	if d.Changed {
		word = "was added to"
	}
	if d.Server != "" {
		fmt.Fprintf(w, "The context %s %s %s and leads to %s over the tailnet:\n\n  kubectl --context %s get nodes\n", d.Context, word, d.Path, d.Server, d.Context)
		return
	}
	fmt.Fprintf(w, "The context %s %s %s. Use it through the tunnel:\n\n", d.Context, word, d.Path)
	fmt.Fprintf(w, "  ssg-bootstrap tunnel --host %s\n  kubectl --context %s get nodes\n", host, d.Context)
}

// adminConfig reads k3s's own kubeconfig.
func (s *session) adminConfig(ctx context.Context) ([]byte, error) {
	_, end := s.a.task("kubeconfig", "read k3s's kubeconfig")
	admin, err := k3s.AdminKubeconfig(ctx, s.client)
	end(err)
	return []byte(admin.Reveal()), err
}

// kubeconfigPath is where kubectl would write.
func (a *app) kubeconfigPath(flag string) string {
	if flag != "" {
		return flag
	}
	for _, p := range filepath.SplitList(a.env.Getenv("KUBECONFIG")) {
		if p != "" {
			return p
		}
	}
	return filepath.Join(a.env.Home, ".kube", "config")
}

func mergeInto(path string, admin []byte, e kubeconfig.Entry) (changed bool, err error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, &fault.Error{Code: fault.KubeconfigInvalid, Op: "read kubeconfig", Err: err}
	}
	merged, err := kubeconfig.Merge(old, admin, e)
	if err != nil {
		return false, fmt.Errorf("add to %s: %w", path, err)
	}
	if bytes.Equal(old, merged) {
		return false, os.Chmod(path, 0o600)
	}
	return true, atomicfile.Write(path, merged, 0o600)
}
