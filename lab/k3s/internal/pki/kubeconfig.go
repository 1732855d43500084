package pki

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfigs writes the files that the components and the node read.
func Kubeconfigs(p layout.Paths, server string) error {
	files := map[string][2]string{
		p.Cred("admin.kubeconfig"):            {p.TLS(), "client-admin"},
		p.Cred("supervisor.kubeconfig"):       {p.TLS(), "client-supervisor"},
		p.Cred("controller.kubeconfig"):       {p.TLS(), "client-controller"},
		p.Cred("scheduler.kubeconfig"):        {p.TLS(), "client-scheduler"},
		p.Cred("cloud-controller.kubeconfig"): {p.TLS(), "client-k3s-cloud-controller"},
		p.Agent("kubelet.kubeconfig"):         {p.Agent(), "client-kubelet"},
		p.Agent("kubeproxy.kubeconfig"):       {p.Agent(), "client-kube-proxy"},
		p.Agent("k3scontroller.kubeconfig"):   {p.Agent(), "client-k3s-controller"},
	}
	for path, id := range files {
		cert, key := filesOf(id)
		config := kubeconfig(
			api.Cluster{Server: server, CertificateAuthority: p.TLS("server-ca.crt")},
			api.AuthInfo{ClientCertificate: cert, ClientKey: key}, "local", "user")
		content, err := clientcmd.Write(config)
		if err != nil {
			return fmt.Errorf("encode kubeconfig: %w", err)
		}
		if err := writeFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func filesOf(id [2]string) (cert, key string) { return files(id[0], id[1]) }

// Access says how the administrator's kubeconfig is written.
type Access struct {
	Path  string
	Mode  string
	Group string
}

// AdminKubeconfig writes the file that people use; it holds its credentials.
func AdminKubeconfig(p layout.Paths, server string, a Access) error {
	certFile, keyFile := files(p.TLS(), "client-admin")
	var contents [3][]byte
	for i, f := range []string{p.TLS("server-ca.crt"), certFile, keyFile} {
		b, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("read credentials: %w", err)
		}
		contents[i] = b
	}
	content, err := clientcmd.Write(kubeconfig(
		api.Cluster{Server: server, CertificateAuthorityData: contents[0]},
		api.AuthInfo{ClientCertificateData: contents[1], ClientKeyData: contents[2]}, "default", "default"))
	if err != nil {
		return fmt.Errorf("encode kubeconfig: %w", err)
	}
	mode := uint64(0o600)
	if a.Mode != "" {
		if mode, err = strconv.ParseUint(a.Mode, 8, 12); err != nil {
			return fmt.Errorf("kubeconfig mode: %w", err)
		}
	}
	if err := writeFile(a.Path, content, os.FileMode(mode)); err != nil {
		return err
	}
	// Chmod as well: the umask may have taken bits away.
	if err := os.Chmod(a.Path, os.FileMode(mode)); err != nil {
		return err
	}
	return setGroup(a.Path, a.Group)
}

func setGroup(path, group string) error {
	if group == "" {
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("kubeconfig group: %w", err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("kubeconfig group: %w", err)
	}
	return os.Chown(path, 0, gid)
}

func kubeconfig(c api.Cluster, u api.AuthInfo, name, user string) api.Config {
	return api.Config{
		Clusters:       map[string]*api.Cluster{name: &c},
		AuthInfos:      map[string]*api.AuthInfo{user: &u},
		Contexts:       map[string]*api.Context{"default": {Cluster: name, AuthInfo: user}},
		CurrentContext: "default",
	}
}
