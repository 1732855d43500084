package release

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"helm.sh/helm/v3/pkg/action"
	helmrelease "helm.sh/helm/v3/pkg/release"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// back puts back what served before, if anything did, and says how it went. A
// run that was called off or lost the link goes back nowhere: the next one
// continues.
func (d Deployer) back(ctx context.Context, cfg *action.Configuration, failed int, cause error) error {
	var verdict *fault.Error
	if !errors.As(cause, &verdict) || ctx.Err() != nil || !failure(verdict.Code) {
		return cause
	}
	target, err := d.lastServed(cfg, failed)
	if err != nil || target == 0 {
		return join(cause, "nothing served before, so it was left as it is", "", err)
	}
	d.Note(fmt.Sprintf("going back to revision %d", target))
	r := action.NewRollback(cfg)
	r.Version, r.DisableHooks, r.MaxHistory = target, true, keptRevisions
	if err := r.Run(d.Want.Name); err != nil {
		return join(cause, "", fmt.Sprintf("going back to revision %d failed as well", target), err)
	}
	back := failed + 1
	labels := map[string]string{revisionLabel: strconv.Itoa(back)}
	err = d.ready(ctx)
	if err != nil {
		labels[servedLabel] = notServed
	}
	if labelErr := patchLabels(ctx, d.Cluster, d.Want.Name, back, labels); err == nil {
		err = labelErr
	}
	return join(cause, fmt.Sprintf("revision %d was put back and serves", target), fmt.Sprintf("revision %d was put back and does not come up", target), err)
}

// failure reports whether a fault is the release's own.
func failure(c fault.Code) bool {
	return c == fault.WaitStalled || c == fault.ReleaseFailed || c == fault.SmokeFailed
}

// lastServed is the newest revision before the failed one that was seen to
// work; 0 if there is none.
func (d Deployer) lastServed(cfg *action.Configuration, failed int) (int, error) {
	history, err := cfg.Releases.History(d.Want.Name)
	if err != nil {
		return 0, d.Cluster.Explain("read the release's history", err)
	}
	best := 0
	for _, r := range history {
		served := r.Labels[inputsLabel] != "" && r.Labels[servedLabel] == r.Labels[inputsLabel]
		// What another helm installed carries no mark; that it was superseded
		// and not failed is the best that is known of it.
		foreign := r.Labels[revisionLabel] != strconv.Itoa(r.Version) && r.Info.Status == helmrelease.StatusSuperseded
		if (served || foreign) && r.Version < failed && r.Version > best {
			best = r.Version
		}
	}
	return best, nil
}

// join tells with the cause what became of the way back.
func join(cause error, well, ill string, err error) error {
	what := well
	if err != nil {
		what = fmt.Sprintf("%s: %v", ill, err)
	}
	return &fault.Error{Code: fault.ReleaseFailed, Err: fmt.Errorf("%w; %s", cause, what), Evidence: fault.EvidenceOf(cause), Next: fault.NextOf(cause)}
}
