package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/tailnet"
	"github.com/omkar619-dev/ssg-bootstrap/chart"
	"github.com/omkar619-dev/ssg-bootstrap/profiles"
)

// Silence and time that are usual on a cluster of which no profile tells.
const (
	releaseStall   = 5 * time.Minute
	releaseTypical = 3 * time.Minute
)

// application is what the application's steps are made from, and what lets the
// box into the tailnet.
type application struct {
	images  *images.Set
	release release.Input
	tailnet tailnet.Credentials
}

// application says what is to be deployed on the box.
func (s *session) application() (application, error) {
	if !s.spec.Release.On() {
		return application{}, nil
	}
	in, err := s.a.releaseInput(s.name, s.spec.Release, s.spec.Profile)
	if err != nil {
		return application{}, err
	}
	// Mistakes in the values are told before the box is asked for more.
	if _, err := in.Want.Images(""); err != nil {
		return application{}, err
	}
	s.images, err = s.newImages(images.Options{
		Choose: &images.Choice{Ask: in.Want.AskImages(), Refs: in.Want.ImagesOnBox}, Retire: true,
	})
	return application{images: s.images, release: in}, err
}

// deployedTag asks which image of the application the box runs, where nobody
// says which it should be: a pipeline may have deployed another since.
func (s *session) deployedTag(ctx context.Context, w release.Want) (string, error) {
	if w.Tag != "" || !s.facts.K3s.Active {
		return "", nil
	}
	seen, err := release.ByBox(s.client, w.Namespace, w.Name)(ctx)
	if errors.Is(err, k3s.ErrNoAnswer) {
		return "", nil
	}
	return seen.Revision.Tag, err
}

// fetchImages looks into the images that are to be sent before anything is
// changed: one that the box cannot run, or that does not exist, is refused now
// and not after half an hour of install.
func (s *session) fetchImages(ctx context.Context, p measuredPlan) error {
	planned, ok := p.Of(images.ID)
	if s.images == nil || !ok || len(planned.Changes) == 0 && !planned.Deferred {
		return nil
	}
	return s.prepareImages(ctx, s.images)
}

// releaseInput is what the application's steps are made from.
func (a *app) releaseInput(name string, r spec.Release, p profiles.Profile) (release.Input, error) {
	want, err := wanted(r, p)
	return release.Input{
		Want:        want,
		Store:       a.secretStore(name),
		SecretsFile: r.Secrets,
		Now:         a.env.Now,
	}, err
}

func (a *app) secretStore(name string) *secrets.Store {
	return secrets.NewStore(a.stateDir(), fileName(name))
}

// wanted puts the profile's values, the owner's file and the configuration's
// keys above one another.
func wanted(r spec.Release, p profiles.Profile) (release.Want, error) {
	layers := []release.Layer{{Source: "the profile " + p.Name, Values: p.Chart.Values}}
	if r.Values != "" {
		values, err := readValues(r.Values)
		if err != nil {
			return release.Want{}, err
		}
		layers = append(layers, release.Layer{Source: r.Values, Values: values})
	}
	if r.Hostname != "" {
		layers = append(layers, release.Layer{Source: "the configuration", Values: release.Values{"ingress": map[string]any{"host": r.Hostname}}})
	}
	return release.Want{
		Name:      release.DefaultName,
		Namespace: cmp.Or(r.Namespace, release.DefaultNamespace),
		Chart:     chart.FS(),
		Layers:    layers,
		Tag:       r.ImageTag,
		Waits: release.Waits{
			Stall:   cmp.Or(p.Waits.PodsStall.Std(), releaseStall),
			Typical: cmp.Or(p.Waits.PodsTypical.Std(), releaseTypical),
		},
	}, nil
}

func readValues(path string) (release.Values, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault.Error{Code: fault.ConfigInvalid, Op: "read the values file", Err: err, Next: "correct release.values in the configuration"}
	}
	var v release.Values
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, &fault.Error{Code: fault.ConfigInvalid, Op: "read " + filepath.Base(path), Err: errors.New("it is not valid YAML"), Evidence: yaml.FormatError(err, false, true)}
	}
	return v, nil
}

// checkTag refuses what no image can be called.
func checkTag(tag string) error {
	if tag == "" || spec.ValidImageTag(tag) {
		return nil
	}
	return fault.New(fault.Usage, "give the part behind the colon, as in --image-tag sha-1a2b3c4", "%q is not an image tag", tag)
}

// noRelease says that there is nothing to deploy.
func noRelease(name string) error {
	return fault.New(fault.Usage, "take `release.enabled: false` out of the configuration", "the configuration deploys nothing on %s", name)
}

// onlyContext refuses a box beside a context.
func (f hostFlags) onlyContext() error {
	if f.host == "" && f.hostKey == "" {
		return nil
	}
	return fault.New(fault.Usage, "give --host for a box, or --context for a cluster of your kubeconfig", "--context and --host name two clusters")
}
