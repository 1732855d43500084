// Package control keeps the promise that the control plane is upstream
// Kubernetes, run in this process with the arguments that k3s gives it: what an
// owner passes through --kube-…-arg meets the real flags, and fails as there.
package control

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/layout"
	"github.com/omkar619-dev/ssg-bootstrap/lab/k3s/internal/settings"
)

// ciphers are k3s's; a scanner that asks for others gets no answer there either.
const ciphers = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384," +
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256," +
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"

// Args are a component's flags by name.
type Args map[string][]string

// Merge lets the owner's values replace the defaults; a name given twice is
// passed twice.
func (a Args) Merge(extra []string) Args {
	mine := map[string]bool{}
	for _, e := range extra {
		name, value, _ := strings.Cut(strings.TrimLeft(e, "-"), "=")
		if !mine[name] {
			a[name] = nil
		}
		mine[name] = true
		a[name] = append(a[name], value)
	}
	return a
}

// List gives the command line, in a stable order.
func (a Args) List() []string {
	var out []string
	for name, values := range a {
		for _, v := range values {
			out = append(out, "--"+name+"="+v)
		}
	}
	slices.Sort(out)
	return out
}

func one(v string) []string { return []string{v} }

// Verbosity is passed to every component: logging is set up once for all.
func Verbosity(s *settings.Server) Args {
	a := Args{}
	if s.Verbosity != 0 {
		a["v"] = one(strconv.Itoa(s.Verbosity))
	}
	if s.VModule != "" {
		a["vmodule"] = one(s.VModule)
	}
	return a
}

func with(base, more Args) Args {
	for k, v := range more {
		base[k] = v
	}
	return base
}

// APIServerArgs are the API server's flags.
func APIServerArgs(s *settings.Server, p layout.Paths, advertise string) ([]string, error) {
	bind := s.BindAddress
	if bind == "" {
		bind = "0.0.0.0"
	}
	issuer := "https://kubernetes.default.svc." + s.ClusterDomain
	a := with(Verbosity(s), Args{
		"advertise-address":                  one(advertise),
		"allow-privileged":                   one("true"),
		"anonymous-auth":                     one("false"),
		"api-audiences":                      one(issuer + ",k3s"),
		"authorization-mode":                 one("Node,RBAC"),
		"bind-address":                       one(bind),
		"cert-dir":                           one(p.TLS("temporary-certs")),
		"client-ca-file":                     one(p.TLS("client-ca.crt")),
		"enable-admission-plugins":           one("NodeRestriction"),
		"enable-aggregator-routing":          one("true"),
		"enable-bootstrap-token-auth":        one("true"),
		"etcd-servers":                       one("unix://" + p.KineSocket()),
		"kubelet-certificate-authority":      one(p.TLS("server-ca.crt")),
		"kubelet-client-certificate":         one(p.TLS("client-kube-apiserver.crt")),
		"kubelet-client-key":                 one(p.TLS("client-kube-apiserver.key")),
		"kubelet-preferred-address-types":    one("InternalIP,ExternalIP,Hostname"),
		"profiling":                          one("false"),
		"proxy-client-cert-file":             one(p.TLS("client-auth-proxy.crt")),
		"proxy-client-key-file":              one(p.TLS("client-auth-proxy.key")),
		"requestheader-allowed-names":        one("system:auth-proxy"),
		"requestheader-client-ca-file":       one(p.TLS("request-header-ca.crt")),
		"requestheader-extra-headers-prefix": one("X-Remote-Extra-"),
		"requestheader-group-headers":        one("X-Remote-Group"),
		"requestheader-username-headers":     one("X-Remote-User"),
		"secure-port":                        one(strconv.Itoa(s.HTTPSPort)),
		"service-account-issuer":             one(issuer),
		"service-account-key-file":           one(p.TLS("service.key")),
		"service-account-signing-key-file":   one(p.TLS("service.key")),
		"service-cluster-ip-range":           one(s.ServiceCIDR),
		"service-node-port-range":            one(s.ServiceNodePortRange),
		"storage-backend":                    one("etcd3"),
		"tls-cert-file":                      one(p.TLS("serving-kube-apiserver.crt")),
		"tls-cipher-suites":                  one(ciphers),
		"tls-private-key-file":               one(p.TLS("serving-kube-apiserver.key")),
	})
	if s.SecretsEncryption {
		file, err := encryptionConfig(p)
		if err != nil {
			return nil, fmt.Errorf("configure secrets encryption: %w", err)
		}
		a["encryption-provider-config"] = one(file)
	}
	return a.Merge(s.APIServerArgs).List(), nil
}

// ControllerManagerArgs are the controller manager's flags.
func ControllerManagerArgs(s *settings.Server, p layout.Paths) []string {
	kubeconfig := p.Cred("controller.kubeconfig")
	return with(Verbosity(s), Args{
		"allocate-node-cidrs":       one("true"),
		"authentication-kubeconfig": one(kubeconfig),
		"authorization-kubeconfig":  one(kubeconfig),
		"bind-address":              one("127.0.0.1"),
		"cluster-cidr":              one(s.ClusterCIDR),
		"cluster-signing-kube-apiserver-client-cert-file": one(p.TLS("client-ca.crt")),
		"cluster-signing-kube-apiserver-client-key-file":  one(p.TLS("client-ca.key")),
		"cluster-signing-kubelet-client-cert-file":        one(p.TLS("client-ca.crt")),
		"cluster-signing-kubelet-client-key-file":         one(p.TLS("client-ca.key")),
		"cluster-signing-kubelet-serving-cert-file":       one(p.TLS("server-ca.crt")),
		"cluster-signing-kubelet-serving-key-file":        one(p.TLS("server-ca.key")),
		"cluster-signing-legacy-unknown-cert-file":        one(p.TLS("server-ca.crt")),
		"cluster-signing-legacy-unknown-key-file":         one(p.TLS("server-ca.key")),
		"configure-cloud-routes":                          one("false"),
		"controllers":                                     one("*,tokencleaner,-service,-route,-cloud-node-lifecycle"),
		"kubeconfig":                                      one(kubeconfig),
		"leader-elect":                                    one("false"),
		"profiling":                                       one("false"),
		"root-ca-file":                                    one(p.TLS("server-ca.crt")),
		"secure-port":                                     one("10257"),
		"service-account-private-key-file":                one(p.TLS("service.key")),
		"service-cluster-ip-range":                        one(s.ServiceCIDR),
		"tls-cert-file":                                   one(p.TLS("kube-controller-manager", "kube-controller-manager.crt")),
		"tls-private-key-file":                            one(p.TLS("kube-controller-manager", "kube-controller-manager.key")),
		"use-service-account-credentials":                 one("true"),
	}).Merge(s.ControllerManagerArgs).List()
}

// SchedulerArgs are the scheduler's flags.
func SchedulerArgs(s *settings.Server, p layout.Paths) []string {
	kubeconfig := p.Cred("scheduler.kubeconfig")
	return with(Verbosity(s), Args{
		"authentication-kubeconfig": one(kubeconfig),
		"authorization-kubeconfig":  one(kubeconfig),
		"bind-address":              one("127.0.0.1"),
		"kubeconfig":                one(kubeconfig),
		"leader-elect":              one("false"),
		"profiling":                 one("false"),
		"secure-port":               one("10259"),
		"tls-cert-file":             one(p.TLS("kube-scheduler", "kube-scheduler.crt")),
		"tls-private-key-file":      one(p.TLS("kube-scheduler", "kube-scheduler.key")),
	}).Merge(s.SchedulerArgs).List()
}

// CloudControllerArgs are the cloud controller manager's flags.
func CloudControllerArgs(s *settings.Server, p layout.Paths, provider string) []string {
	kubeconfig := p.Cred("cloud-controller.kubeconfig")
	controllers := "*,-route"
	if s.Disabled("servicelb") {
		controllers += ",-service"
	}
	return with(Verbosity(s), Args{
		"allocate-node-cidrs":          one("true"),
		"authentication-kubeconfig":    one(kubeconfig),
		"authorization-kubeconfig":     one(kubeconfig),
		"bind-address":                 one("127.0.0.1"),
		"cloud-provider":               one(provider),
		"cluster-cidr":                 one(s.ClusterCIDR),
		"configure-cloud-routes":       one("false"),
		"controllers":                  one(controllers),
		"kubeconfig":                   one(kubeconfig),
		"leader-elect":                 one("false"),
		"node-status-update-frequency": one("1m0s"),
		"profiling":                    one("false"),
		"secure-port":                  one("10258"),
		"tls-cert-file":                one(p.TLS("cloud-controller-manager", "cloud-controller-manager.crt")),
		"tls-private-key-file":         one(p.TLS("cloud-controller-manager", "cloud-controller-manager.key")),
	}).Merge(s.CloudControllerArgs).List()
}

// encryptionConfig makes the key for secrets at rest, once.
func encryptionConfig(p layout.Paths) (string, error) {
	file := p.Cred("encryption-config.json")
	if _, err := os.Stat(file); err == nil || !os.IsNotExist(err) {
		return file, err
	}
	content, err := newEncryptionConfig()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, content, 0o600)
}
