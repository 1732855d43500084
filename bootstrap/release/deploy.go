package release

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"helm.sh/helm/v3/pkg/action"
	helmrelease "helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

const (
	// keptRevisions is enough to go back: what serves, what failed, and what
	// was put back. Each one more is read at every release.
	keptRevisions = 3
	hookTimeout   = 30 * time.Minute
	// abandoned is how long another helm may be at work before it is taken for
	// dead. Its own default timeout is 5 minutes, the documented pipeline's 15.
	abandoned = 16 * time.Minute
)

// Deployer brings one release to where it should be.
type Deployer struct {
	Cluster *cluster.Cluster
	Want    Want
	// Smoke proves that what is Ready also works; nil proves nothing.
	Smoke func(ctx context.Context) error
	// Redact takes the secrets out of what pods said; nil takes out nothing.
	Redact func(text string) string
	Note   func(text string)
	Now    func() time.Time
}

// Outcome says what a deployment did.
type Outcome struct {
	Revision int    `json:"revision"`
	Changed  bool   `json:"changed"`
	Tag      string `json:"imageTag,omitempty"`
}

// Deploy makes the release what it should be, waits until it serves, and goes
// back to what served before if it does not.
func (d Deployer) Deploy(ctx context.Context, book secrets.Book) (Outcome, error) {
	d.Redact = book.Secrets.Redact
	seen, err := ByAPI(d.Cluster, d.Want.Name)(ctx)
	if err != nil {
		return Outcome{}, err
	}
	cfg, err := newEngine(d.Cluster)
	if err != nil {
		return Outcome{}, err
	}
	tag, err := d.deployedTag(cfg, seen.Revision)
	if err != nil {
		return Outcome{}, err
	}
	p, err := d.Want.prepare(book, tag)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Revision: seen.Revision.Number, Tag: p.tag}
	if !seen.Revision.matches(p.inputs) {
		if out.Revision, err = d.submit(ctx, cfg, p); err != nil && out.Revision > 1 {
			return out, d.back(ctx, cfg, out.Revision, err)
		}
		if err != nil {
			return out, err
		}
		out.Changed = true
	} else if seen.Revision.Served {
		return out, nil
	}
	if err := d.serve(ctx); err != nil {
		return out, d.back(ctx, cfg, out.Revision, err)
	}
	return out, patchLabels(ctx, d.Cluster, d.Want.Name, out.Revision, map[string]string{servedLabel: p.inputs})
}

// matches reports whether the revision was made of these inputs and helm was
// done with it.
func (r Revision) matches(inputs string) bool {
	return !r.Foreign && r.Inputs == inputs && r.Status == string(helmrelease.StatusDeployed)
}

// deployedTag is the image tag that is deployed, if the owner does not say one.
// A pipeline's helm leaves no label, so its values are read.
func (d Deployer) deployedTag(cfg *action.Configuration, r Revision) (string, error) {
	if d.Want.Tag != "" || r.Number == 0 || !r.Foreign {
		return r.Tag, nil
	}
	last, err := cfg.Releases.Last(d.Want.Name)
	if err != nil {
		return "", d.Cluster.Explain("read the release", err)
	}
	image, _ := last.Config["image"].(map[string]any)
	tag, _ := image["tag"].(string)
	return tag, nil
}

// submit hands the release to the cluster. It is not called off in the middle:
// a few seconds more end in a state that the next run knows.
func (d Deployer) submit(ctx context.Context, cfg *action.Configuration, p prepared) (int, error) {
	ctx = context.WithoutCancel(ctx)
	last, err := cfg.Releases.Last(d.Want.Name)
	switch {
	case notFound(err):
		d.Note("installing")
		return d.install(ctx, cfg, p, 1)
	case err != nil:
		return 0, d.Cluster.Explain("read the release", err)
	}
	next := last.Version + 1
	if last.Info.Status == helmrelease.StatusUninstalled || last.Info.Status == helmrelease.StatusUninstalling {
		d.Note("installing again")
		return d.install(ctx, cfg, p, next)
	}
	if last.Info.Status.IsPending() {
		if err := d.reclaim(cfg, last); err != nil {
			return 0, err
		}
	}
	d.Note(fmt.Sprintf("upgrading to revision %d", next))
	u := action.NewUpgrade(cfg)
	u.Namespace, u.Timeout, u.MaxHistory = d.Want.Namespace, hookTimeout, keptRevisions
	// The schema of the whole API is half a megabyte; the server checks what
	// it gets anyway.
	u.DisableOpenAPIValidation, u.ResetValues = true, true
	u.Labels = p.labels(strconv.Itoa(next))
	r, err := u.RunWithContext(ctx, d.Want.Name, p.chart, p.values)
	return number(r), d.refused("upgrade", err)
}

func (d Deployer) install(ctx context.Context, cfg *action.Configuration, p prepared, revision int) (int, error) {
	i := action.NewInstall(cfg)
	i.ReleaseName, i.Namespace, i.Timeout = d.Want.Name, d.Want.Namespace, hookTimeout
	i.DisableOpenAPIValidation, i.Replace = true, revision > 1
	i.Labels = p.labels(strconv.Itoa(revision))
	r, err := i.RunWithContext(ctx, p.chart, p.values)
	return number(r), d.refused("install", err)
}

// number is the revision that was begun, 0 if it did not come to that.
func number(r *helmrelease.Release) int {
	if r == nil {
		return 0
	}
	return r.Version
}

// reclaim frees a release that a run left behind when it was killed. Helm
// itself would refuse it for ever.
func (d Deployer) reclaim(cfg *action.Configuration, last *helmrelease.Release) error {
	ours := last.Labels[revisionLabel] == strconv.Itoa(last.Version)
	age := d.Now().Sub(last.Info.LastDeployed.Time)
	if !ours && age < abandoned {
		return &fault.Error{
			Code: fault.Locked, Op: "change the release " + d.Want.Name,
			Err:  fmt.Errorf("another helm is at work on it since %s (%s)", age.Round(time.Second), last.Info.Status),
			Next: fmt.Sprintf("wait for it, or run the same command again in %s: then it is taken for dead", (abandoned - age).Round(time.Minute)),
		}
	}
	d.Note(fmt.Sprintf("taking over revision %d, left in %s", last.Version, last.Info.Status))
	last.SetStatus(helmrelease.StatusFailed, "left behind by a run that broke off")
	if err := cfg.Releases.Update(last); err != nil {
		return d.Cluster.Explain("take over the release", err)
	}
	return nil
}

// refused explains what the cluster or the chart had against the release.
func (d Deployer) refused(verb string, err error) error {
	if err == nil {
		return nil
	}
	op := verb + " the release " + d.Want.Name
	if errors.Is(err, driver.ErrReleaseExists) {
		return &fault.Error{Code: fault.Locked, Op: op, Err: err, Next: "another helm was faster; run the same command again"}
	}
	explained := d.Cluster.Explain(op, err)
	if fault.CodeOf(explained) == fault.ClusterUnreachable {
		// Helm's own words: what it could not render, or whose object it is.
		return &fault.Error{Code: fault.ReleaseFailed, Op: op, Err: err, Next: "mend what is named, then run the same command again; nothing that ran was stopped"}
	}
	return explained
}
