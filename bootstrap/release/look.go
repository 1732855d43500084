package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
)

// The labels that a revision carries on Helm's Secret, so that a plan needs
// none of its contents. Helm copies labels from one revision to the next, so
// only revisionLabel tells a revision of ours from one that another helm made.
const (
	inputsLabel   = "ssg-bootstrap-inputs"
	servedLabel   = "ssg-bootstrap-served"
	revisionLabel = "ssg-bootstrap-revision"
	tagLabel      = "ssg-bootstrap-image-tag"
)

// notServed stands until the release was seen to work.
const notServed = "no"

// Revision is the newest state of the release, as its labels tell it.
type Revision struct {
	Number  int
	Status  string
	Inputs  string
	Served  bool
	Foreign bool
	Tag     string
}

// Seen is what a plan knows of the cluster.
type Seen struct {
	// Terminating says that the namespace is being deleted.
	Terminating bool
	Revision    Revision
	// Secrets are the digests of the Secrets that are there, by name; empty
	// for one that somebody else made.
	Secrets map[string]string
}

// Looker looks at the release and cannot change it.
type Looker func(ctx context.Context) (Seen, error)

// ByBox lets the box ask its own API server: one query of the plan's round
// trip, some kilobytes, and no connection from here.
func ByBox(r host.Reader, namespace, name string) Looker {
	return func(ctx context.Context) (Seen, error) {
		out, err := r.Query(ctx, askBox(namespace, name))
		if err != nil {
			return Seen{}, fmt.Errorf("look at the release: %w", err)
		}
		return readBox(out, namespace, name)
	}
}

func askBox(namespace, name string) host.Command { return k3s.Ask(lookPaths(namespace, name)...) }

func readBox(out []byte, namespace, name string) (Seen, error) {
	answers, err := k3s.Answers(out, lookPaths(namespace, name)...)
	if err != nil {
		return Seen{}, err
	}
	seen := Seen{Secrets: map[string]string{}}
	if answers[0] == nil {
		return seen, nil
	}
	var ns struct {
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	if err := json.Unmarshal(answers[0], &ns); err != nil {
		return Seen{}, fmt.Errorf("read the namespace: %w", err)
	}
	seen.Terminating = ns.Status.Phase == "Terminating"
	for _, a := range answers[1:3] {
		if err := seen.addTable(a); err != nil {
			return Seen{}, err
		}
	}
	image, err := imageIn(answers[3])
	if err != nil {
		return Seen{}, err
	}
	seen.runs(image)
	return seen, nil
}

// lookPaths are what a look asks for: the release's newest revision, the
// Secrets beside it, whoever made them, and which image the application runs.
func lookPaths(namespace, name string) []string {
	base := "/api/v1/namespaces/" + namespace
	return []string{
		base,
		base + "/secrets?includeObject=Metadata&labelSelector=owner=helm,status!=superseded,name=" + name,
		base + "/secrets?includeObject=Metadata&labelSelector=owner!=helm",
		"/apis/apps/v1/namespaces/" + namespace + "/deployments?includeObject=Metadata&labelSelector=" + appSelector(name),
	}
}

func appSelector(name string) string {
	return "app.kubernetes.io/instance=" + name + ",app.kubernetes.io/component=app"
}

// imageIn returns the application's image from the list of its Deployments as
// `kubectl get -o wide` shows it; empty where there is none.
func imageIn(text []byte) (string, error) {
	if text == nil {
		return "", nil
	}
	var t k3s.Table
	if err := json.Unmarshal(text, &t); err != nil {
		return "", fmt.Errorf("read the list of Deployments: %w", err)
	}
	if images := t.Column("Images"); len(images) > 0 {
		return images[0], nil
	}
	return "", nil
}

// runs takes note of the image that the application runs. It tells the tag of a
// revision that another helm made, whose labels are those of the one before.
func (s *Seen) runs(image string) {
	if !s.Revision.Foreign {
		return
	}
	image, _, _ = strings.Cut(image, "@")
	s.Revision.Tag = ""
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		s.Revision.Tag = image[colon+1:]
	}
}

func (s *Seen) addTable(text []byte) error {
	var t objectTable
	if err := json.Unmarshal(text, &t); err != nil {
		return fmt.Errorf("read the list of Secrets: %w", err)
	}
	for _, row := range t.Rows {
		s.add(row.Object.Metadata)
	}
	return nil
}

// objectTable is a list as the API server prints it, with the objects' metadata.
type objectTable struct {
	Rows []struct {
		Object struct {
			Metadata objectMeta `json:"metadata"`
		} `json:"object"`
	} `json:"rows"`
}

type objectMeta struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

// ByAPI asks the API server itself.
func ByAPI(c *cluster.Cluster, name string) Looker {
	return func(ctx context.Context) (Seen, error) {
		seen := Seen{Secrets: map[string]string{}}
		ns, err := c.Client.CoreV1().Namespaces().Get(ctx, c.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return seen, nil
		}
		if err != nil {
			return Seen{}, c.Explain("look at the namespace "+c.Namespace, err)
		}
		seen.Terminating = ns.DeletionTimestamp != nil
		list, err := c.Metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(c.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return Seen{}, c.Explain("look at the release", err)
		}
		for _, s := range list.Items {
			if owner := s.Labels["owner"]; owner == "helm" && (s.Labels["name"] != name || s.Labels["status"] == "superseded") {
				continue
			}
			seen.add(objectMeta{s.Name, s.Labels, s.Annotations})
		}
		if !seen.Revision.Foreign {
			return seen, nil
		}
		apps, err := c.Client.AppsV1().Deployments(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: appSelector(name)})
		if err != nil {
			return Seen{}, c.Explain("look at the application", err)
		}
		if len(apps.Items) > 0 {
			seen.runs(apps.Items[0].Spec.Template.Spec.Containers[0].Image)
		}
		return seen, nil
	}
}

func (s *Seen) add(m objectMeta) {
	if m.Labels["owner"] != "helm" {
		digest := ""
		if m.Labels[cluster.ManagedByLabel] == cluster.ManagedBy {
			digest = m.Annotations[cluster.DigestAnnotation]
		}
		s.Secrets[m.Name] = digest
		return
	}
	r, err := revisionOf(m.Labels)
	if err == nil && r.Number > s.Revision.Number {
		s.Revision = r
	}
}

func revisionOf(labels map[string]string) (Revision, error) {
	n, err := strconv.Atoi(labels["version"])
	if err != nil {
		return Revision{}, errors.New("a revision without a number")
	}
	r := Revision{Number: n, Status: labels["status"], Inputs: labels[inputsLabel], Tag: labels[tagLabel]}
	r.Foreign = labels[revisionLabel] != labels["version"]
	r.Served = !r.Foreign && r.Inputs != "" && labels[servedLabel] == r.Inputs
	return r, nil
}
