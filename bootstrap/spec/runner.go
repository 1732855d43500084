package spec

import (
	"cmp"
	"slices"
	"strings"
)

const (
	repositoryPattern = `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?/[A-Za-z0-9._-]+$`
	// A runner's name is part of its unit's, and goes to config.sh as it is.
	runnerNamePattern = `^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`
	labelPattern      = `^[A-Za-z0-9_][A-Za-z0-9_.-]{0,255}$`
	workPattern       = `^[A-Za-z0-9_][A-Za-z0-9_.-]*$`
	groupPattern      = `^[^\x00-\x1f"'\\]{1,64}$`
)

// Runner says which repository's jobs the box runs.
type Runner struct {
	// Enabled is true unless said otherwise: naming the repository is enough.
	Enabled    *bool  `yaml:"enabled,omitempty" json:"enabled,omitempty" jsonschema_description:"Whether install makes the box a GitHub Actions runner; default: true where there is this section."`
	Repository string `yaml:"repository,omitempty" json:"repository,omitempty" jsonschema:"pattern=^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$" jsonschema_description:"The repository whose jobs it runs: owner/name."`
	// Server is an address as the box sees it, API one as this computer does.
	Server string   `yaml:"server,omitempty" json:"server,omitempty" jsonschema:"format=uri" jsonschema_description:"GitHub as the box sees it; default: https://github.com."`
	API    string   `yaml:"api,omitempty" json:"api,omitempty" jsonschema:"format=uri" jsonschema_description:"GitHub's API as this computer sees it; default: https://api.github.com, or SERVER/api/v3."`
	Name   string   `yaml:"name,omitempty" json:"name,omitempty" jsonschema_description:"The runner's name; default: the node's name."`
	Labels []string `yaml:"labels,omitempty" json:"labels,omitempty" jsonschema_description:"Labels beside self-hosted, Linux and X64; default: the runner's name."`
	Group  string   `yaml:"group,omitempty" json:"group,omitempty" jsonschema_description:"The runner group; default: GitHub's."`
	Work   string   `yaml:"work,omitempty" json:"work,omitempty" jsonschema_description:"The folder for jobs, below the runner's own; default: _work."`
	// AllowPublicRepository takes the risk that anybody's pull request runs
	// programs on the box.
	AllowPublicRepository bool `yaml:"allowPublicRepository,omitempty" json:"allowPublicRepository,omitempty" jsonschema_description:"Also serve a public repository, whose pull requests may run anything on the box; default: false."`
}

// over returns r with what it leaves out taken from below; nil is a section
// that is not there.
func (r *Runner) over(below *Runner) *Runner {
	switch {
	case r == nil:
		return below
	case below == nil:
		return r
	}
	out := &Runner{
		Enabled:               r.Enabled,
		Repository:            cmp.Or(r.Repository, below.Repository),
		Server:                cmp.Or(r.Server, below.Server),
		API:                   cmp.Or(r.API, below.API),
		Name:                  cmp.Or(r.Name, below.Name),
		Labels:                r.Labels,
		Group:                 cmp.Or(r.Group, below.Group),
		Work:                  cmp.Or(r.Work, below.Work),
		AllowPublicRepository: r.AllowPublicRepository || below.AllowPublicRepository,
	}
	if out.Enabled == nil {
		out.Enabled = below.Enabled
	}
	if len(out.Labels) == 0 {
		out.Labels = below.Labels
	}
	return out
}

// off reports whether the section switches the runner off.
func (r *Runner) off() bool { return r == nil || r.Enabled != nil && !*r.Enabled }

// RunnerOf is the runner of a host, with every default filled in, or nil if it
// is to be none.
func (c Config) RunnerOf(hostName, node string) *Runner {
	r := c.Hosts[hostName].Runner.over(c.Runner)
	if r.off() {
		return nil
	}
	out := *r
	out.Server = strings.TrimRight(cmp.Or(r.Server, "https://github.com"), "/")
	out.API = strings.TrimRight(cmp.Or(r.API, apiOf(out.Server)), "/")
	out.Name = cmp.Or(r.Name, node)
	out.Work = cmp.Or(r.Work, "_work")
	out.Labels = slices.Clone(r.Labels)
	if len(out.Labels) == 0 {
		out.Labels = []string{out.Name}
	}
	// The order in which somebody wrote them means nothing.
	slices.Sort(out.Labels)
	out.Labels = slices.Compact(out.Labels)
	return &out
}

// apiOf is where a server has its API: GitHub Enterprise Server has it below
// its own address.
func apiOf(server string) string {
	if server == "https://github.com" {
		return "https://api.github.com"
	}
	return server + "/api/v3"
}

// hostRunner checks a host's runner together with what it takes over.
func (k checker) hostRunner(path []string, r *Runner) {
	k.runner(path, r)
	if whole := r.over(k.c.Runner); !whole.off() && whole.Repository == "" {
		k.doc.Refuse(path, "its runner needs a repository: owner/name")
	}
}

func (k checker) runner(path []string, r *Runner) {
	if r == nil {
		return
	}
	sub := func(keys ...string) []string { return append(slices.Clone(path), keys...) }
	for _, m := range []struct{ key, text, pattern, hint string }{
		{"repository", r.Repository, repositoryPattern, "a repository like omkar619-dev/studentsystemgo"},
		{"name", r.Name, runnerNamePattern, "a runner's name: at most 64 letters, digits, dots, hyphens and underscores"},
		{"group", r.Group, groupPattern, "the name of a runner group"},
		{"work", r.Work, workPattern, "the name of a folder below the runner's own"},
	} {
		if m.text != "" && !matches(m.pattern, m.text) {
			k.doc.Refuse(sub(m.key), "%q is not %s", m.text, m.hint)
		}
	}
	for i, label := range r.Labels {
		if !matches(labelPattern, label) {
			k.doc.Refuse(sub("labels", index(i)), "%q is not a label of letters, digits, dots, hyphens and underscores", label)
		}
	}
	k.mirror(sub("server"), r.Server)
	k.mirror(sub("api"), r.API)
}
