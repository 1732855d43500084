package spec

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

const gib = 1 << 30

func fullAnswers() Answers {
	return Answers{
		Name: "oldpc", Address: "192.168.1.20", Port: 2222, User: "omkar",
		IdentityFile: "~/.ssh/id_ed25519", HostKey: "SHA256:" + strings.Repeat("a", 43),
		Profile: "core2duo-4gb", K3sMirror: "https://mirror.example.org/github",
	}
}

func TestTheTemplateIsReadBackAsWhatWasAnswered(t *testing.T) {
	a := fullAnswers()
	c, err := ParseConfig("x.yaml", Template(a))
	if err != nil {
		t.Fatal(err, fault.EvidenceOf(err))
	}
	want := Config{
		Hosts: map[string]Host{"oldpc": {
			Address: a.Address, Port: a.Port, User: a.User, Profile: a.Profile,
			IdentityFiles: []string{a.IdentityFile}, HostKeys: []string{a.HostKey},
		}},
		Defaults: Defaults{Host: "oldpc"},
		Mirrors:  Mirrors{K3s: a.K3sMirror},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("read %+v\nwant %+v", c, want)
	}
}

func TestTheTemplateQuotesWhatYAMLWouldTakeForSomethingElse(t *testing.T) {
	for _, name := range []string{"on", "NO", "1e3", "0x10", "10.0.0.1", "null", "1234"} {
		c, err := ParseConfig("x.yaml", Template(Answers{Name: name, User: name}))
		if err != nil {
			if !strings.Contains(fault.EvidenceOf(err), "login") {
				t.Errorf("%s: %v\n%s", name, err, fault.EvidenceOf(err))
			}
			continue
		}
		if c.Hosts[name].User != name || c.Defaults.Host != name {
			t.Errorf("%s: read %+v", name, c)
		}
	}
}

// TestWhatTheTemplateCommentsOutIsValidToo puts each of its sections in force
// alone: some cannot be together on one host. Two examples are cut short by "…".
func TestWhatTheTemplateCommentsOutIsValidToo(t *testing.T) {
	template := string(Template(Answers{Name: "oldpc"}))
	keyring, err := secrets.WriteKeyring(t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := strings.NewReplacer("SHA256:…", "SHA256:"+strings.Repeat("a", 43), "age1…", keyring.Names[0])
	for _, key := range commentedOut(template) {
		text := whole.Replace(inForce(template, key))
		if _, err := ParseConfig("x.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v\n%s", key, err, fault.EvidenceOf(err))
		}
		if err := againstSchema(t, "ssg-bootstrap.schema.json", []byte(text)); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestTheTemplateTellsOfEveryKey: who edits the file sees what there is.
func TestTheTemplateTellsOfEveryKey(t *testing.T) {
	told := string(Template(Answers{Name: "oldpc"}))
	commented := commentedOut(told)
	demand := func(of reflect.Type, indent string, but ...string) {
		for i := range of.NumField() {
			key, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
			if key != "-" && !slices.Contains(but, key) && !slices.Contains(commented, key) && !strings.Contains(told, "\n"+indent+key+":") {
				t.Errorf("the template says nothing of %s", key)
			}
		}
	}
	demand(reflect.TypeFor[Config](), "")
	// The sections of the same name hold for all hosts.
	demand(reflect.TypeFor[Host](), "    ", "knownHostsFile", "release", "tailnet", "runner")
}

// commentedOut are the keys that a template shows as comments.
func commentedOut(template string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^ *# ([a-zA-Z]+):(?: |$)`).FindAllStringSubmatch(template, -1) {
		if strings.ContainsAny(m[1][:1], "abcdefghijklmnopqrstuvwxyz") {
			out = append(out, m[1])
		}
	}
	return out
}

// inForce takes the comment's sign from a key and from what is below it.
func inForce(template, key string) string {
	section := regexp.MustCompile(`(?m)^ *# ` + key + `:.*\n(?: *#   .*\n)*`)
	sign := regexp.MustCompile(`(?m)^( *)# `)
	return section.ReplaceAllStringFunc(template, func(s string) string { return sign.ReplaceAllString(s, "$1") })
}

func TestTheTemplateNamesItsSchema(t *testing.T) {
	first, _, _ := strings.Cut(string(Template(Answers{Name: "oldpc"})), "\n")
	address, ok := strings.CutPrefix(first, "# yaml-language-server: $schema=https://")
	_, path, _ := strings.Cut(address, "/main/")
	if _, err := os.Stat(filepath.Join("../..", path)); !ok || path == "" || err != nil {
		t.Errorf("the first line is %q: %v", first, err)
	}
}

func TestMistakesOfAnswers(t *testing.T) {
	if got := (Answers{}).Mistakes(); len(got) > 0 {
		t.Errorf("nothing was answered yet, and that is wrong: %q", got)
	}
	if got := fullAnswers().Mistakes(); len(got) > 0 {
		t.Errorf("good answers: %q", got)
	}
	for _, c := range []struct {
		answers Answers
		want    string
	}{
		{Answers{Name: "the shed"}, `"the shed" is not a host`},
		{Answers{Name: "a", User: "-o"}, "login"},
		{Answers{Name: "a", Address: "a b"}, "address"},
		{Answers{Name: "a", Profile: "fast"}, `there is no profile "fast"; there are core2duo-4gb`},
		{Answers{Name: "a", HostKey: "abc"}, "fingerprint"},
	} {
		if got := strings.Join(c.answers.Mistakes(), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.answers, got, c.want)
		}
	}
}

func TestTheShippedSchemasAreThoseOfTheTypes(t *testing.T) {
	schemas, err := Schemas()
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range schemas {
		got, err := os.ReadFile(filepath.Join("../../docs/schema", file))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("docs/schema/%s is stale (%v); run `go generate ./bootstrap/spec`", file, err)
		}
	}
}

func TestTheSchemasAcceptWhatTheParserAccepts(t *testing.T) {
	accepted := map[string][]byte{"ssg-bootstrap.schema.json": Template(fullAnswers())}
	check := func(file string, data []byte) error { return againstSchema(t, file, data) }
	for file, data := range accepted {
		if err := check(file, data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, name := range profiles.Names() {
		data, err := profiles.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := check("profile.schema.json", data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.HasPrefix(string(data), "# yaml-language-server: $schema=../docs/schema/profile.schema.json\n") {
			t.Errorf("%s.yaml does not name its schema", name)
		}
	}
	if check("ssg-bootstrap.schema.json", []byte("hosts: {a: {prot: 22}}")) == nil {
		t.Error("the schema accepts an unknown key")
	}
}

func againstSchema(t *testing.T, file string, data []byte) error {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("../../docs/schema", file))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(plain(doc))
}

// plain turns the decoder's integers into what the validator knows.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case uint64:
		return float64(v)
	case int64:
		return float64(v)
	}
	return v
}

func TestPathsStartFromTheFileOrTheHome(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", "/home/me")
	path := filepath.Join(dir, "ssg-bootstrap.yaml")
	text := `hosts:
  a:
    identityFiles: [~/.ssh/id, keys/id, /abs/id]
    knownHostsFile: known
    profile: mine.yaml
  b: {profile: auto}
defaults: {profile: ./p/mine.yaml}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Hosts["a"]
	if want := []string{"/home/me/.ssh/id", filepath.Join(dir, "keys/id"), "/abs/id"}; !slices.Equal(a.IdentityFiles, want) {
		t.Errorf("identity files %q", a.IdentityFiles)
	}
	if a.KnownHostsFile != filepath.Join(dir, "known") || a.Profile != filepath.Join(dir, "mine.yaml") ||
		c.Hosts["b"].Profile != "auto" || c.Defaults.Profile != filepath.Join(dir, "p/mine.yaml") || c.Path != path {
		t.Errorf("read %+v", c)
	}
	if _, err := LoadConfig(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestTheProfileComesFromTheMostSpecificPlace(t *testing.T) {
	cfg := Config{
		Hosts:    map[string]Host{"a": {Profile: "minipc-8gb"}, "b": {}, "c": {Profile: "auto"}},
		Defaults: Defaults{Profile: "minipc-8gb"},
	}
	old := Hardware{MemoryBytes: 38 * gib / 10, Cores: 2, CPULevel: 1, CPUModel: "Intel(R) Core(TM)2 Duo CPU T7700"}
	for _, c := range []struct{ host, flag, want, why string }{
		{"a", "core2duo-4gb", "core2duo-4gb", "--profile says so"},
		{"a", "", "minipc-8gb", "the configuration says so for a"},
		{"b", "", "minipc-8gb", "the configuration's default"},
		{"c", "", "core2duo-4gb", "because the box has 3.8 GiB of RAM, 2 cores, a CPU of level x86-64-v1 (Intel(R) Core(TM)2 Duo CPU T7700)"},
		{"a", "auto", "core2duo-4gb", "3.8 GiB"},
	} {
		s, err := Resolve(cfg, c.host, c.flag, old)
		if err != nil {
			t.Fatal(err)
		}
		if s.Profile.Name != c.want || !strings.Contains(s.ProfileWhy, c.why) {
			t.Errorf("%+v: got %s: %s", c, s.Profile.Name, s.ProfileWhy)
		}
	}
	_, err := Resolve(cfg, "a", "core2duo", old)
	if fault.CodeOf(err) != fault.ConfigInvalid || !strings.Contains(fault.NextOf(err), "core2duo-4gb") {
		t.Errorf("an unknown profile: %v, next %q", err, fault.NextOf(err))
	}
}

func TestAutoHasAProfileForEveryMemory(t *testing.T) {
	for gibs, want := range map[float64]string{
		0: "core2duo-4gb", 0.9: "core2duo-4gb", 1.9: "core2duo-4gb", 2.8: "core2duo-4gb", 3.8: "core2duo-4gb",
		5.8: "core2duo-4gb", 6.9: "core2duo-4gb", 7.4: "minipc-8gb", 15.5: "minipc-8gb", 125: "minipc-8gb",
	} {
		name, why := Choose(profiles.List(), Hardware{MemoryBytes: int64(gibs * gib)})
		if name != want || !strings.Contains(why, name) {
			t.Errorf("%.1f GiB: %s: %s", gibs, name, why)
		}
	}
}

func TestTheNodesNameComesFromTheHosts(t *testing.T) {
	for host, want := range map[string]string{
		"oldpc":                "oldpc",
		"OldPC":                "oldpc",
		"old_pc":               "old-pc",
		"me@oldpc.local:2222":  "oldpc.local",
		"me@192.168.1.20:22":   "node-192-168-1-20",
		"192.168.1.20":         "node-192-168-1-20",
		"me@[fe80::1%eth0]:22": "node-fe80--1-eth0",
		"fd00::7":              "node-fd00--7",
	} {
		s, err := Resolve(Config{}, host, "core2duo-4gb", Hardware{})
		if err != nil || s.NodeName != want {
			t.Errorf("%s: %q, %v", host, s.NodeName, err)
		}
	}
	if _, err := Resolve(Config{}, "me@höst", "core2duo-4gb", Hardware{}); fault.CodeOf(err) != fault.ConfigInvalid {
		t.Errorf("an impossible name: %v", err)
	}
}

func TestCertificateNamesAreStable(t *testing.T) {
	want := []string{"pc", "10.0.0.1", "pc.example.org"}
	for _, sans := range [][]string{{"pc.example.org", "10.0.0.1"}, {"10.0.0.1", "pc", "pc.example.org", "10.0.0.1"}} {
		cfg := Config{Hosts: map[string]Host{"oldpc": {NodeName: "pc", TLSSANs: sans}}}
		s, err := Resolve(cfg, "oldpc", "core2duo-4gb", Hardware{})
		if err != nil || !slices.Equal(s.TLSSANs, want) {
			t.Errorf("%q: %q, %v", sans, s.TLSSANs, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("hosts:\n  a: {port: 22}\n"))
	f.Add(Template(fullAnswers()))
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig("f.yaml", data)
		if err == nil {
			for _, h := range slices.Sorted(maps.Keys(c.Hosts)) {
				if !matches(hostNamePattern, h) {
					t.Errorf("accepted the host %q", h)
				}
			}
			return
		}
		for line := range strings.SplitSeq(fault.EvidenceOf(err), "\n") {
			if strings.HasPrefix(line, "f.yaml:") && matches(`^f\.yaml:[1-9][0-9]*:[1-9][0-9]*: .`, line) {
				return
			}
		}
		t.Errorf("no position in %v: %q", err, fault.EvidenceOf(err))
	})
}

func TestAHostsReleaseIsOverTheConfigurations(t *testing.T) {
	c, err := ParseConfig("x.yaml", []byte(`
release: {enabled: false, namespace: school, imageTag: sha-1}
hosts:
  on:
    release: {enabled: true, imageTag: sha-2}
  off: {}
`))
	if err != nil {
		t.Fatal(err, fault.EvidenceOf(err))
	}
	if on := c.ReleaseOf("on"); !on.On() || on.Namespace != "school" || on.ImageTag != "sha-2" {
		t.Errorf("on: %+v", on)
	}
	if off := c.ReleaseOf("off"); off.On() || off.ImageTag != "sha-1" {
		t.Errorf("off: %+v", off)
	}
	if (Release{}).On() != true {
		t.Error("a configuration that says nothing deploys nothing")
	}
	_, err = ParseConfig("x.yaml", []byte("release: {enabled: perhaps}\n"))
	if !strings.Contains(fault.EvidenceOf(err), "true or false") {
		t.Errorf("got %v %s", err, fault.EvidenceOf(err))
	}
}
