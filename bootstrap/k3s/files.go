package k3s

import (
	_ "embed"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

//go:embed k3s.service
var unitText string

//go:embed killall.sh
var killallText string

//go:embed uninstall.sh
var removeText string

// configFiles are what k3s reads at its start.
func (k kind) configFiles(l loaded) ([]managed.File, error) {
	conf, err := yamlText(l.Config)
	if err != nil {
		return nil, err
	}
	kubelet, err := yamlText(l.Kubelet)
	if err != nil {
		return nil, err
	}
	return []managed.File{
		{Path: configPath, Mode: 0o600, Content: conf, Redact: redact},
		{Path: kubeletPath, Mode: 0o644, Content: kubelet, Ours: true},
		{Path: containerdPath, Mode: 0o644, Content: containerdText(l.Containerd), Ours: true},
		{Path: k.env(), Mode: 0o644, Content: envText(l.Env), Redact: redact},
	}, nil
}

// unitFiles are what systemd and the owner need of k3s besides the program.
func (k kind) unitFiles() []managed.File {
	return []managed.File{
		{Path: k.unitPath(), Mode: 0o644, Content: []byte(k.text(unitText))},
		{Path: k.unitPath() + ".env", Mode: 0o600, Content: []byte(header), Redact: redact},
		{Path: killallPath, Mode: 0o755, Content: []byte(k.text(killallText))},
		{Path: k.remove(), Mode: 0o755, Content: []byte(k.text(removeText))},
	}
}
