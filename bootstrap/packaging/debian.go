package packaging

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml"
)

// nfpmConfig is what we say of nfpm.yaml.
type nfpmConfig struct {
	Name        string    `yaml:"name"`
	Arch        string    `yaml:"arch"`
	Platform    string    `yaml:"platform"`
	Version     string    `yaml:"version"`
	Schema      string    `yaml:"version_schema"`
	Section     string    `yaml:"section"`
	Priority    string    `yaml:"priority"`
	Maintainer  string    `yaml:"maintainer"`
	Description string    `yaml:"description"`
	Homepage    string    `yaml:"homepage"`
	ModTime     string    `yaml:"mtime"`
	Recommends  []string  `yaml:"recommends"`
	Contents    []content `yaml:"contents"`
}

type content struct {
	Source      string   `yaml:"src"`
	Destination string   `yaml:"dst"`
	Info        fileInfo `yaml:"file_info"`
}

type fileInfo struct {
	Mode    uint32 `yaml:"mode"`
	ModTime string `yaml:"mtime"`
}

// DebianName is the package's file name by Debian's custom.
func (b Build) DebianName() string {
	return fmt.Sprintf("%s_%s_%s.deb", program, b.DebianVersion(), b.Target.Arch)
}

// Debian returns the configuration with which nfpm makes the package of a Linux
// build. The files' paths are where they will be installed, below root they are
// to be found.
func Debian(b Build, root string, files []File) ([]byte, error) {
	at := b.Time.Format(time.RFC3339)
	c := nfpmConfig{
		Name: program, Arch: b.Target.Arch, Platform: b.Target.OS,
		Version: b.DebianVersion(), Schema: "none",
		Section: "admin", Priority: "optional",
		Maintainer:  "The maintainers of ssg-bootstrap <maintainers@" + program + ".invalid>",
		Description: "Make a production-shape Kubernetes box of an old PC\nOne command over SSH: k3s with reduced memory, images, chart and smoke test.",
		Homepage:    "https://" + b.Info.Main.Path,
		ModTime:     at,
		// Nothing of it is needed to run, only to have a key to log in with.
		Recommends: []string{"openssh-client"},
	}
	for _, f := range files {
		c.Contents = append(c.Contents, content{Source: root + "/" + f.Path, Destination: "/" + f.Path, Info: fileInfo{Mode: f.Mode, ModTime: at}})
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write nfpm's configuration: %w", err)
	}
	return data, nil
}
