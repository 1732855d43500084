package release

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/chart"
)

const canary = "canary-0c4e"

// realWant is the release with the chart that is shipped.
func realWant(layers ...Layer) Want {
	return Want{
		Name: DefaultName, Namespace: DefaultNamespace, Chart: chart.FS(), Layers: layers,
		Waits: Waits{Stall: time.Minute, Typical: time.Minute},
	}
}

// canaryBook holds secrets all of which contain the canary.
func canaryBook(t *testing.T) secrets.Book {
	t.Helper()
	s, err := secrets.Set{}.Complete(DefaultNamespace, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range secrets.Keys() {
		s[k] = secrets.NewValue(s[k].Reveal() + canary)
	}
	return secrets.Book{Salt: secrets.NewValue("salt" + canary), Secrets: s}
}

func prepareT(t *testing.T, w Want, b secrets.Book, tag string) prepared {
	t.Helper()
	p, err := w.prepare(b, tag)
	if err != nil {
		t.Fatalf("%v\n%s", err, fault.EvidenceOf(err))
	}
	return p
}

func TestNoSecretIsPartOfTheRelease(t *testing.T) {
	w := realWant()
	p := prepareT(t, w, canaryBook(t), "")
	manifests, err := w.render(p)
	if err != nil {
		t.Fatal(err)
	}
	values, err := json.Marshal(p.values)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(manifests, string(values), p.inputs) {
		if strings.Contains(text, canary) {
			t.Errorf("holds a secret:\n%s", text)
		}
		if strings.Contains(text, "kind: Secret\n") {
			t.Errorf("the chart renders a Secret of its own:\n%s", text)
		}
	}
	if len(manifests) < 15 {
		t.Errorf("only %d objects were rendered", len(manifests))
	}
}

func TestThePodsReadTheSecretsThatAreWritten(t *testing.T) {
	w := realWant()
	manifests, err := w.render(prepareT(t, w, canaryBook(t), ""))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(manifests, "\n---\n")
	for _, c := range secrets.Components() {
		if !strings.Contains(all, w.SecretName(c)) {
			t.Errorf("nobody reads the Secret %s", w.SecretName(c))
		}
	}
}

func TestOnlyWhatCountsChangesTheInputs(t *testing.T) {
	b := canaryBook(t)
	base := prepareT(t, realWant(), b, "").inputs
	if again := prepareT(t, realWant(), b, "").inputs; again != base {
		t.Error("the same inputs have two digests")
	}
	jwt := b
	jwt.Secrets = b.Secrets.With(secrets.Set{secrets.JWT: secrets.NewValue("other")})
	root := b
	root.Secrets = b.Secrets.With(secrets.Set{secrets.MySQLRoot: secrets.NewValue("other")})
	scaled := realWant(Layer{"values.yaml", Values{"hpa": map[string]any{"maxReplicas": 2}}})
	for name, c := range map[string]struct {
		want    Want
		book    secrets.Book
		tag     string
		changes bool
	}{
		"another tag":            {realWant(), b, "sha-1234567", true},
		"another value":          {scaled, b, "", true},
		"another JWT key":        {realWant(), jwt, "", true},
		"another root password":  {realWant(), root, "", false},
		"an empty layer":         {realWant(Layer{"x", Values{}}), b, "", false},
		"a profile's value anew": {realWant(Layer{"x", nil}), b, "", false},
	} {
		if got := prepareT(t, c.want, c.book, c.tag).inputs != base; got != c.changes {
			t.Errorf("%s: changed is %v", name, got)
		}
	}
}

func TestTheOwnersTagIsStrongerThanTheDeployedOne(t *testing.T) {
	w := realWant()
	if p := prepareT(t, w, canaryBook(t), "sha-old"); p.tag != "sha-old" {
		t.Errorf("the deployed tag was given up for %q", p.tag)
	}
	w.Tag = "sha-new"
	images, err := w.Images("sha-old")
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Join(images, " ")
	for _, part := range []string{"studentsystemgo:sha-new", "mariadb:", "redis:", "rabbitmq:"} {
		if !strings.Contains(found, part) {
			t.Errorf("%s is not among %s", part, found)
		}
	}
	if len(images) != 4 {
		t.Errorf("%d images: %s", len(images), found)
	}
}

func TestAValuesMistakeIsNamedByItsPath(t *testing.T) {
	files := fstest.MapFS{
		"Chart.yaml":         {Data: []byte("apiVersion: v2\nname: studentsystemgo\nversion: 1.0.0\n")},
		"values.yaml":        {Data: []byte("hpa: {maxReplicas: 3}\n")},
		"values.schema.json": {Data: []byte(`{"type":"object","properties":{"hpa":{"type":"object","properties":{"maxReplicas":{"type":"integer"}}}}}`)},
		".helmignore":        {Data: []byte("*.md\n")},
		"README.md":          {Data: []byte("left out")},
	}
	w := Want{Name: "ssg", Namespace: "ns", Chart: files, Layers: []Layer{
		{"the profile", nil}, {"mine.yaml", Values{"hpa": map[string]any{"maxReplicas": "many"}}},
	}}
	_, err := w.prepare(secrets.Book{}, "")
	if fault.CodeOf(err) != fault.ConfigInvalid || !strings.Contains(fault.EvidenceOf(err), "hpa.maxReplicas: got string, want integer") {
		t.Errorf("got %v\n%s", err, fault.EvidenceOf(err))
	}
	if next := fault.NextOf(err); !strings.Contains(next, "mine.yaml") || strings.Contains(next, "the profile") {
		t.Errorf("next: %s", next)
	}
}

func TestIgnoredFilesDoNotCount(t *testing.T) {
	files := fstest.MapFS{
		"Chart.yaml":  {Data: []byte("apiVersion: v2\nname: x\nversion: 1.0.0\n")},
		".helmignore": {Data: []byte("*.md\nci/\n")},
	}
	_, before, err := loadChart(files)
	if err != nil {
		t.Fatal(err)
	}
	files["README.md"] = &fstest.MapFile{Data: []byte("x")}
	files["ci/values.yaml"] = &fstest.MapFile{Data: []byte("x")}
	_, after, err := loadChart(files)
	if err != nil || before != after {
		t.Errorf("%v; %s, then %s", err, before, after)
	}
	files["templates/x.yaml"] = &fstest.MapFile{Data: []byte("x")}
	if _, third, _ := loadChart(files); third == before {
		t.Error("a template does not count")
	}
}
