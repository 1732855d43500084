package release

import (
	"context"
	"fmt"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// record makes a revision of what a rotation did: the chart and the values that
// are deployed, with the new digests of the secrets. What else has changed on
// this computer since, a newer chart perhaps, is for the next deployment, whose
// plan still shows it.
func (d Deployer) record(ctx context.Context, before, after secrets.Book) error {
	seen, err := ByAPI(d.Cluster, d.Want.Name)(ctx)
	if err != nil {
		return err
	}
	cfg, err := newEngine(d.Cluster)
	if err != nil {
		return err
	}
	last, err := cfg.Releases.Last(d.Want.Name)
	if notFound(err) {
		return nil
	}
	if err != nil {
		return d.Cluster.Explain("read the release", err)
	}
	rolls, err := after.Secrets.Rolls(after.Salt)
	if err != nil {
		return err
	}
	values, err := plain(overlay(last.Config, map[string]any{"secretsChecksum": rolls}))
	if err != nil {
		return err
	}
	if fmt.Sprint(values["secretsChecksum"]) == fmt.Sprint(last.Config["secretsChecksum"]) {
		return nil
	}
	p := prepared{chart: last.Chart, values: values, inputs: seen.Revision.Inputs, tag: seen.Revision.Tag}
	then, err := d.Want.prepare(before, p.tag)
	if err != nil {
		return err
	}
	if seen.Revision.matches(then.inputs) {
		now, err := d.Want.prepare(after, p.tag)
		if err != nil {
			return err
		}
		p.inputs = now.inputs
	}
	revision, err := d.submit(ctx, cfg, p)
	if err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	return patchLabels(ctx, d.Cluster, d.Want.Name, revision, map[string]string{servedLabel: p.inputs})
}
