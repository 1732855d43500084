package release

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// box is a reader whose API server gives these answers, one for each path that
// is asked for; an empty text is a 404.
type box struct {
	answers []string
	asked   int
}

func (b *box) QueryMany(context.Context, []host.Command) ([]host.Answer, error) {
	return nil, errors.New("one query is enough")
}

func (b *box) Query(_ context.Context, c host.Command) ([]byte, error) {
	b.asked++
	var text bytes.Buffer
	text.WriteString("-- api --\n" + strings.Join(c.Also, "\n") + "\n\n")
	packed := gzip.NewWriter(&text)
	for _, a := range b.answers {
		status := http.StatusOK
		if a == "" {
			status = http.StatusNotFound
		}
		fmt.Fprintf(packed, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(a), a)
	}
	err := packed.Close()
	return text.Bytes(), err
}

const (
	activeNamespace = `{"status":{"phase":"Active"}}`
	noRows          = `{"rows":[]}`
)

func row(name, labels, annotations string) string {
	return fmt.Sprintf(`{"object":{"metadata":{"name":%q,"labels":{%s},"annotations":{%s}}}}`, name, labels, annotations)
}

// runs is the list of the application's Deployments.
func runs(tag string) string {
	return `{"columnDefinitions":[{"name":"Name"},{"name":"Images"}],"rows":[{"cells":["ssg-studentsystemgo","ghcr.io:443/omkar619-dev/studentsystemgo:` + tag + `"]}]}`
}

func TestALookIsOneRoundTrip(t *testing.T) {
	b := &box{answers: []string{
		activeNamespace,
		`{"rows":[` + row("sh.helm.release.v1.ssg.v7", `"owner":"helm","name":"ssg","version":"7","status":"failed","ssg-bootstrap-inputs":"a","ssg-bootstrap-served":"no","ssg-bootstrap-revision":"7"`, "") +
			`,` + row("sh.helm.release.v1.ssg.v8", `"owner":"helm","name":"ssg","version":"8","status":"deployed","ssg-bootstrap-inputs":"a","ssg-bootstrap-served":"a","ssg-bootstrap-revision":"8","ssg-bootstrap-image-tag":"sha-1"`, "") + `]}`,
		`{"rows":[` + row("ours", `"app.kubernetes.io/managed-by":"ssg-bootstrap"`, `"ssg-bootstrap/digest":"d"`) + `,` + row("theirs", "", "") + `]}`,
		runs("sha-9"), // ours says what it runs itself
	}}
	seen, err := ByBox(b, "ns", "ssg")(t.Context())
	if err != nil || b.asked != 1 {
		t.Fatalf("%v, %d round trips", err, b.asked)
	}
	if want := (Revision{Number: 8, Status: "deployed", Inputs: "a", Served: true, Tag: "sha-1"}); seen.Revision != want {
		t.Errorf("got %+v", seen.Revision)
	}
	if d, there := seen.Secrets["theirs"]; seen.Secrets["ours"] != "d" || d != "" || !there {
		t.Errorf("got %v", seen.Secrets)
	}
}

func TestImagesAreThoseThatTheBoxRuns(t *testing.T) {
	pushed := `{"rows":[` + row("sh.helm.release.v1.ssg.v8", `"owner":"helm","name":"ssg","version":"8","status":"deployed","ssg-bootstrap-revision":"7","ssg-bootstrap-image-tag":"sha-0"`, "") + `]}`
	deployed := []string{activeNamespace, pushed, noRows, runs("sha-1")}
	values := Values{"image": map[string]any{"tag": "sha-3"}}
	for name, c := range map[string]struct {
		answers []string
		tag     string
		values  Values
		want    string
	}{
		"a pipeline's":             {deployed, "", nil, "studentsystemgo:sha-1"},
		"the owner's":              {deployed, "sha-2", nil, "studentsystemgo:sha-2"},
		"the values'":              {deployed, "", values, "studentsystemgo:sha-3"},
		"the owner's, over values": {deployed, "sha-2", values, "studentsystemgo:sha-2"},
		"the chart's":              {[]string{"", "", "", ""}, "", nil, "studentsystemgo:latest"},
		"no answer":                {nil, "", nil, "studentsystemgo:latest"},
	} {
		w := realWant()
		w.Tag = c.tag
		w.Layers = append(w.Layers, Layer{"values.yaml", c.values})
		answer, err := (&box{answers: c.answers}).Query(t.Context(), w.AskImages())
		if err != nil {
			t.Fatal(err)
		}
		images, err := w.ImagesOnBox(answer)
		if err != nil || !slices.ContainsFunc(images, func(i string) bool { return strings.HasSuffix(i, c.want) }) {
			t.Errorf("%s: %q, %v", name, images, err)
		}
	}
}

func TestARevisionOfAnotherHelmIsForeign(t *testing.T) {
	r, err := revisionOf(map[string]string{
		"version": "9", "status": "deployed", inputsLabel: "a", servedLabel: "a", revisionLabel: "8",
	})
	if err != nil || !r.Foreign || r.Served || r.matches("a") {
		t.Errorf("labels that were copied pass for our own: %+v, %v", r, err)
	}
}

func TestWithoutAnAPIThePlanComesLater(t *testing.T) {
	in := Input{Want: realWant(), Store: secrets.NewStore(t.TempDir(), "x")}
	for _, s := range Steps(in) {
		if _, err := s.Plan(t.Context(), &box{}); !errors.Is(err, step.ErrDeferred) {
			t.Errorf("%s: %v", s.ID(), err)
		}
	}
}

func TestAnEmptyClusterGetsSecretsFirst(t *testing.T) {
	in := Input{Want: realWant(), Store: secrets.NewStore(t.TempDir(), "x")}
	steps := Steps(in)
	empty := &box{answers: []string{"", noRows, noRows, noRows}}
	changes, err := steps[0].Plan(t.Context(), empty)
	if err != nil || len(changes) != 4 {
		t.Errorf("%v, %v", changes, err)
	}
	if _, err := steps[1].Plan(t.Context(), empty); !errors.Is(err, step.ErrDeferred) {
		t.Errorf("the release is planned without secrets: %v", err)
	}
	if b, err := in.Store.Load(); err != nil || !b.Empty() {
		t.Error("a plan made secrets", err)
	}
}

func TestANamespaceThatTerminatesIsNoPlaceToPlanIn(t *testing.T) {
	in := Input{Want: realWant(), Store: secrets.NewStore(t.TempDir(), "x")}
	ending := &box{answers: []string{`{"status":{"phase":"Terminating"}}`, noRows, noRows, noRows}}
	for _, s := range Steps(in) {
		if _, err := s.Plan(t.Context(), ending); fault.CodeOf(err) != fault.NamespaceTerminating || !strings.Contains(fault.NextOf(err), "studentsystemgo") {
			t.Errorf("%s: %v", s.ID(), err)
		}
	}
}

func TestATagThatIsNoTextIsRefusedWhateverIsDeployed(t *testing.T) {
	w := realWant()
	w.Layers = append(w.Layers, Layer{"values.yaml", Values{"image": map[string]any{"tag": 1234567}}})
	_, err := w.Images("sha-1")
	if fault.CodeOf(err) != fault.ConfigInvalid || !strings.Contains(fault.EvidenceOf(err), "image.tag") {
		t.Errorf("got %v", err)
	}
}

func TestATagThatNoLabelHoldsIsNotLabelled(t *testing.T) {
	for tag, want := range map[string]string{"sha-1": "sha-1", "": "", strings.Repeat("a", 64): "", "1.0-": ""} {
		if got := (prepared{tag: tag}).labels("1")[tagLabel]; got != want {
			t.Errorf("%q is labelled %q", tag, got)
		}
	}
}
