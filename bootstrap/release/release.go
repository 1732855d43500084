// Package release brings the application onto a cluster and keeps it there.
//
// It keeps the promise that a release which is as it should be is not touched,
// that one which does not come up is put back to what served before, with the
// last words of the pod that failed, and that no secret is ever part of it: the
// chart gets the names of Secrets, never their contents.
package release

import (
	"cmp"
	"io/fs"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// The names that the application's documents give to the release.
const (
	DefaultName      = "ssg"
	DefaultNamespace = "studentsystemgo"
)

// Want is the release as it should be.
type Want struct {
	Name, Namespace string
	// Chart holds the chart's files, at its root.
	Chart fs.FS
	// Layers are the owner's values, the strongest last.
	Layers []Layer
	// Tag is the application's image tag, above one in Layers. Where neither
	// says one, the one that is deployed stays, so that an install does not undo
	// what a pipeline has deployed.
	Tag string
	// Waits says how much silence is normal.
	Waits Waits
}

// Waits says how much silence is normal on the hardware.
type Waits struct {
	// Stall ends the wait for the pods, Typical is what people are told.
	Stall, Typical time.Duration
}

// SecretName is the name of the Secret that a component reads.
func (w Want) SecretName(c secrets.Component) string { return w.fullname() + "-" + string(c) }

// fullname is how the chart calls the application's own objects.
func (w Want) fullname() string { return w.Name + "-studentsystemgo" }

// prepared is a release that could be installed as it is.
type prepared struct {
	chart  *chart.Chart
	values Values
	inputs string
	tag    string
}

// prepare puts the values together and holds them to the chart's schema.
func (w Want) prepare(book secrets.Book, deployedTag string) (prepared, error) {
	c, digest, err := loadChart(w.Chart)
	if err != nil {
		return prepared{}, err
	}
	rolls, err := book.Secrets.Rolls(book.Salt)
	if err != nil {
		return prepared{}, err
	}
	tag := w.tag(deployedTag)
	layers := append(append([]Layer{}, w.Layers...), Layer{"ssg-bootstrap itself", w.own(rolls, tag)})
	values, err := plain(merge(layers))
	if err != nil {
		return prepared{}, err
	}
	if err := checkValues(c, values, layers); err != nil {
		return prepared{}, err
	}
	inputs, err := digestOf(digest, values)
	return prepared{chart: c, values: values, inputs: inputs, tag: tag}, err
}

// tag is the application's image tag; empty is the chart's.
func (w Want) tag(deployed string) string {
	if w.Tag != "" {
		return w.Tag
	}
	image, _ := asMap(merge(w.Layers)["image"])
	switch said := image["tag"].(type) {
	case nil:
		return deployed
	case string:
		return cmp.Or(said, deployed)
	default:
		return "" // No text: it stays as it is, for the schema to refuse.
	}
}

// own are the values that are not the owner's to choose: where the secrets
// are, and what makes pods restart when theirs changed.
func (w Want) own(rolls map[string]string, tag string) Values {
	type m = map[string]any
	checksums := m{}
	for k, v := range rolls {
		checksums[k] = v
	}
	v := Values{
		"mysql":           m{"auth": m{"existingSecret": w.SecretName(secrets.MySQL)}},
		"rabbitmq":        m{"auth": m{"existingSecret": w.SecretName(secrets.RabbitMQ)}},
		"app":             m{"existingSecret": w.SecretName(secrets.App)},
		"cloudfront":      m{"existingSecret": w.SecretName(secrets.CloudFront)},
		"secretsChecksum": checksums,
	}
	if tag != "" {
		v["image"] = m{"tag": tag}
	}
	return v
}

func (p prepared) labels(revision string) map[string]string {
	out := map[string]string{inputsLabel: p.inputs, servedLabel: notServed, revisionLabel: revision}
	// A longer tag can only come from the owner's values, which say it again
	// next time.
	if p.tag != "" && len(validation.IsValidLabelValue(p.tag)) == 0 {
		out[tagLabel] = p.tag
	}
	return out
}
