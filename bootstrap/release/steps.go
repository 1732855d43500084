package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// The steps' names.
const (
	SecretsID step.ID = "app-secrets"
	ReleaseID step.ID = "release"
)

// apiAddress is where k3s serves its API on the box.
const apiAddress = "127.0.0.1:6443"

// Input is what the steps are made from.
type Input struct {
	Want  Want
	Store *secrets.Store
	// SecretsFile is a secrets.values.yaml to begin with; it may be empty.
	SecretsFile string
	// Needs are the steps that come before the release: k3s's own pods, and
	// the images.
	Needs []step.ID
	Now   func() time.Time
}

// Steps returns the application's secrets and its release.
func Steps(in Input) []step.Step {
	return []step.Step{secretsStep{in}, releaseStep{in}}
}

// OnBox returns the cluster of a box, reached through the connection to it.
func OnBox(ctx context.Context, h host.Host, namespace string) (*cluster.Cluster, error) {
	admin, err := k3s.AdminKubeconfig(ctx, h)
	if err != nil {
		return nil, err
	}
	// Whatever address the file names: it is the box's own API.
	dial := cluster.At(h.Dial, apiAddress)
	return cluster.Through("the box", namespace, admin, dial)
}

// look is deferred while there is no API to ask.
func (in Input) look(ctx context.Context, r host.Reader) (Seen, error) {
	seen, err := ByBox(r, in.Want.Namespace, in.Want.Name)(ctx)
	switch {
	case errors.Is(err, k3s.ErrNoAnswer):
		return seen, step.ErrDeferred
	case err == nil && seen.Terminating:
		// What is in it may look as it should be, and is about to go.
		return seen, cluster.Terminating("look at the namespace "+in.Want.Namespace, in.Want.Namespace)
	}
	return seen, err
}

func (in Input) keeper(note func(string)) Keeper {
	return Keeper{Want: in.Want, Store: in.Store, File: in.SecretsFile, Now: in.Now, Note: note}
}

type secretsStep struct{ in Input }

func (s secretsStep) ID() step.ID      { return SecretsID }
func (s secretsStep) Title() string    { return "Application's secrets" }
func (s secretsStep) Needs() []step.ID { return []step.ID{k3s.ServerID} }
func (s secretsStep) Lane() step.Lane  { return step.LaneBox }

func (s secretsStep) Plan(ctx context.Context, r host.Reader) ([]step.Change, error) {
	seen, err := s.in.look(ctx, r)
	if err != nil {
		return nil, err
	}
	book, err := s.in.keeper(nil).Book()
	if err != nil {
		return nil, err
	}
	return secretChanges(s.in.Want, book, seen)
}

func secretChanges(w Want, book secrets.Book, seen Seen) ([]step.Change, error) {
	var out []step.Change
	for _, c := range secrets.Components() {
		name := w.SecretName(c)
		digest, there := seen.Secrets[name]
		change := step.Change{Verb: step.Create, Object: "Secret " + name, Why: "absent"}
		switch {
		case there && book.Empty():
			change.Verb, change.Why = step.Update, "this computer does not know it: taken over as it is"
		case there:
			data, err := book.Secrets.Data(c)
			if err != nil {
				return nil, err
			}
			if digest == data.Digest(book.Salt) {
				continue
			}
			change.Verb, change.Why = step.Update, "differs from this computer's copy: what the cluster uses is taken over"
		}
		out = append(out, change)
	}
	return out, nil
}

func (s secretsStep) Apply(ctx context.Context, run step.Run, changes []step.Change) error {
	if len(changes) == 0 {
		return nil
	}
	c, err := OnBox(ctx, run.Host, s.in.Want.Namespace)
	if err != nil {
		return err
	}
	_, err = s.in.keeper(run.Note).Sync(ctx, c)
	return err
}

type releaseStep struct{ in Input }

func (s releaseStep) ID() step.ID     { return ReleaseID }
func (s releaseStep) Title() string   { return "StudentSystemGo" }
func (s releaseStep) Lane() step.Lane { return step.LaneBox }
func (s releaseStep) Needs() []step.ID {
	return append([]step.ID{SecretsID}, s.in.Needs...)
}

func (s releaseStep) Plan(ctx context.Context, r host.Reader) ([]step.Change, error) {
	seen, err := s.in.look(ctx, r)
	if err != nil {
		return nil, err
	}
	book, err := s.in.keeper(nil).Book()
	if err != nil {
		return nil, err
	}
	if book.Empty() {
		return nil, step.ErrDeferred
	}
	p, err := s.in.Want.prepare(book, seen.Revision.Tag)
	if err != nil {
		return nil, err
	}
	return releaseChanges(s.in.Want, p, seen.Revision), nil
}

// releaseChanges compares the newest revision with what should be.
func releaseChanges(w Want, p prepared, r Revision) []step.Change {
	c := step.Change{Verb: step.Update, Object: "release " + w.Name, Work: w.Waits.Typical}
	switch {
	case r.Number == 0:
		c.Verb, c.Why = step.Create, "absent"
	case r.Status != string(helmrelease.StatusDeployed):
		c.Why = fmt.Sprintf("revision %d is %s", r.Number, r.Status)
	case r.Foreign && r.Tag == p.tag:
		c.Why = fmt.Sprintf("another helm made revision %d; its image stays", r.Number)
	case (r.Foreign || r.Inputs != p.inputs) && r.Tag != p.tag:
		c.Why = fmt.Sprintf("image tag %s → %s", orDefault(r.Tag), orDefault(p.tag))
	case r.Inputs != p.inputs:
		c.Why = "chart or values differ"
	case !r.Served:
		c.Verb, c.Object, c.Why = step.Wait, "pods of "+w.Name, fmt.Sprintf("revision %d was not seen to work", r.Number)
	default:
		return nil
	}
	return []step.Change{c}
}

func orDefault(tag string) string {
	if tag == "" {
		return "the chart's"
	}
	return tag
}

func (s releaseStep) Apply(ctx context.Context, run step.Run, changes []step.Change) error {
	if len(changes) == 0 {
		return nil
	}
	c, err := OnBox(ctx, run.Host, s.in.Want.Namespace)
	if err != nil {
		return err
	}
	book, err := s.in.keeper(run.Note).Book()
	if err != nil {
		return err
	}
	_, err = Deployer{
		Cluster: c, Want: s.in.Want, Note: run.Note, Now: s.in.Now,
		Smoke: Smoke{Cluster: c, Name: s.in.Want.Name, Book: book, Reach: run.Host.Dial, Note: run.Note}.Run,
	}.Deploy(ctx, book)
	return err
}
