package packaging

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// bom is what we say of CycloneDX 1.6, the format of ECMA-424.
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type       string       `json:"type"`
	Ref        string       `json:"bom-ref"`
	Name       string       `json:"name"`
	Version    string       `json:"version"`
	PURL       string       `json:"purl"`
	Hashes     []hash       `json:"hashes,omitempty"`
	Properties []properties `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type properties struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

// SBOM lists the modules that are linked into a build, as Go wrote them into
// it: what is there, not what go.mod allows.
func SBOM(b Build) (File, error) {
	self := module("application", &b.Info.Main)
	self.Hashes = []hash{{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(b.Binary))}}
	for _, s := range b.Info.Settings {
		self.Properties = append(self.Properties, properties{"ssg-bootstrap:build:" + s.Key, s.Value})
	}
	// The standard library's purl is what vulnerability databases know it by.
	std := component{Type: "library", Name: "std", Version: strings.TrimPrefix(b.Info.GoVersion, "go")}
	std.PURL = "pkg:golang/std@" + std.Version
	std.Ref = std.PURL
	all := []component{std}
	for _, m := range b.Info.Deps {
		all = append(all, module("library", m))
	}
	root := dependency{Ref: self.Ref}
	deps := []dependency{}
	for _, c := range all {
		root.On = append(root.On, c.Ref)
		deps = append(deps, dependency{Ref: c.Ref})
	}
	data, err := json.MarshalIndent(bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata:     metadata{Timestamp: b.Time.Format(time.RFC3339), Component: self},
		Components:   all,
		Dependencies: append([]dependency{root}, deps...),
	}, "", "  ")
	if err != nil {
		return File{}, fmt.Errorf("write the bill of materials: %w", err)
	}
	return File{Path: b.Name() + ".cdx.json", Mode: 0o644, Data: append(data, '\n')}, nil
}

// module describes what is linked in, which is the replacement where there is
// one.
func module(kind string, m *debug.Module) component {
	for m.Replace != nil {
		m = m.Replace
	}
	// A purl holds the path in lower case and its version escaped.
	purl := "pkg:golang/" + strings.ToLower(m.Path) + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	c := component{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if m.Sum != "" {
		// go.sum's hash is of a list of files and fits none of CycloneDX's.
		c.Properties = []properties{{"ssg-bootstrap:go.sum", m.Sum}}
	}
	return c
}
