package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/images"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

func newCmdImages(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List the box's container images, or bring others to it",
		Long: `List the box's container images, or bring others to it. Of an image only what
the box lacks is sent, a transfer that broke off is continued, and an image that
the box's processor cannot run is refused before anything is sent.`,
		Example: "  ssg-bootstrap images list --host oldpc\n  ssg-bootstrap images import --host oldpc --image mariadb:11",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCmdImagesList(a), newCmdImagesPlan(a), newCmdImagesImport(a))
	return cmd
}

func newCmdImagesList(a *app) *cobra.Command {
	var o hostFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the container images that the box has",
		Example: "  ssg-bootstrap images list --host oldpc",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return imagesListRun(cmd.Context(), a, o) },
	}
	o.add(a, cmd)
	return cmd
}

// imagesFlags choose images.
type imagesFlags struct {
	hostFlags
	refs []string
	from string
}

func (f *imagesFlags) add(a *app, cmd *cobra.Command) {
	f.hostFlags.add(a, cmd)
	cmd.Flags().StringSliceVar(&f.refs, "image", nil, "this `image`, named as in a pod; may be repeated (default: all that --from has, without it the application's)")
	cmd.Flags().StringVar(&f.from, "from", "", "take them from oci:FOLDER or docker-archive:FILE instead of their registries")
	_ = cmd.RegisterFlagCompletionFunc("image", cobra.NoFileCompletions)
}

func newCmdImagesPlan(a *app) *cobra.Command {
	var o imagesFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what an import would send, without changing anything",
		Long: `Show what an import would send: each image that is missing or another one, the
bytes of it that the box lacks, and how long they take at the measured speed of
the link. The images are fetched to this computer and looked into; the box is
only asked.`,
		Example: "  ssg-bootstrap images plan --host oldpc\n  ssg-bootstrap images plan --host oldpc --image mariadb:11 --image redis:7\n  ssg-bootstrap images plan --host oldpc --from oci:build/image",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return imagesPlanRun(cmd.Context(), a, o) },
	}
	o.add(a, cmd)
	return cmd
}

func newCmdImagesImport(a *app) *cobra.Command {
	var o imagesFlags
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Bring container images to the box",
		Long: `Bring container images to the box: fetch them to this computer, send what the
box lacks of them, import them into k3s's containerd, and keep them from its
garbage collection. Broken off, the same line continues where it stopped.`,
		Example: "  ssg-bootstrap images import --host oldpc\n  ssg-bootstrap images import --host oldpc --image ghcr.io/owner/app:sha-1234\n  ssg-bootstrap images import --host oldpc --from docker-archive:app.tar",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return imagesImportRun(cmd.Context(), a, o) },
	}
	o.add(a, cmd)
	return cmd
}

// ImagesData is what a box has, as programs get it.
type ImagesData struct {
	Host   string        `json:"host"`
	Images []images.Held `json:"images"`
}

func imagesListRun(ctx context.Context, a *app, o hostFlags) error {
	s, err := a.open(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	held, up, err := images.List(ctx, host.ReadOnly(s.client))
	if err != nil {
		return err
	}
	if !up {
		return s.noContainerd()
	}
	a.answer(ImagesData{Host: s.name, Images: held}, func(w io.Writer) {
		t := report.Table{Head: []string{"IMAGE", "SIZE", "DIGEST", ""}, Right: []int{1}}
		for _, h := range held {
			t.Rows = append(t.Rows, []string{report.Clean(h.Name), report.Clean(h.Size), report.Clean(shortDigest(h.Digest)), condition(h)})
		}
		_ = t.Write(w, a.width())
	})
	return nil
}

// shortDigest is as much of a digest as tells images apart.
func shortDigest(digest string) string {
	const enough = len("sha256:") + 12
	return digest[:min(len(digest), enough)]
}

func condition(h images.Held) string {
	switch {
	case !h.Complete:
		return "incomplete"
	case !h.Unpacked:
		return "not unpacked"
	case h.Pinned:
		return "kept"
	}
	return "may be collected"
}

func (s *session) noContainerd() error {
	return fault.New(fault.NotInstalled, "`ssg-bootstrap install --host "+s.name+"` starts it", "k3s does not run on %s, so there is no store of images", s.name)
}

// ImagesPlanData is what an import would send, as programs get it.
type ImagesPlanData struct {
	Host            string          `json:"host"`
	Empty           bool            `json:"empty"`
	Changes         []report.Change `json:"changes"`
	Bytes           int64           `json:"bytes"`
	BytesPerSecond  float64         `json:"bytesPerSecond,omitempty"`
	EstimateSeconds float64         `json:"estimateSeconds"`
}

func imagesPlanRun(ctx context.Context, a *app, o imagesFlags) error {
	s, p, err := a.planImages(ctx, o)
	if s != nil {
		defer s.close()
	}
	if err != nil {
		return err
	}
	planned := p.Steps[0]
	a.answer(ImagesPlanData{
		Host: s.name, Empty: p.Empty(), Changes: report.Changes(planned.Changes),
		Bytes: p.Bytes(), BytesPerSecond: p.rate(), EstimateSeconds: p.Estimate(p.rate()).Seconds(),
	}, func(w io.Writer) {
		t := report.Table{Right: []int{1}}
		for _, c := range planned.Changes {
			sends := ""
			if c.Bytes > 0 {
				sends = report.Bytes(c.Bytes)
			}
			t.Rows = append(t.Rows, []string{string(c.Verb), sends, report.Clean(c.Object + reason(c))})
		}
		_ = t.Write(w, a.width())
		fmt.Fprintln(w, report.Wrap(s.importSummary(p), a.width()))
	})
	return nil
}

// importSummary is the plan in one sentence.
func (s *session) importSummary(p measuredPlan) string {
	if p.Empty() {
		return "No changes: " + s.name + " has the images."
	}
	text := fmt.Sprintf("%s; sends %s to %s", report.Count(len(p.Steps[0].Changes), "change"), report.Bytes(p.Bytes()), s.name)
	if p.link != nil {
		text += fmt.Sprintf("; takes %s at the measured %s", minutes(p.Estimate(p.rate())), report.Rate(p.link.Rate))
	}
	return text + "."
}

// planImages looks at the box, prepares the images and plans their import.
func (a *app) planImages(ctx context.Context, o imagesFlags) (*session, measuredPlan, error) {
	var p measuredPlan
	s, err := a.open(ctx, o.hostFlags)
	if err != nil {
		return nil, p, err
	}
	set, err := s.chosenImages(ctx, o)
	if err != nil {
		return s, p, err
	}
	if err := s.prepareImages(ctx, set); err != nil {
		return s, p, err
	}
	s.steps = []step.Step{set.Step()}
	if p, err = s.plan(ctx, firstLook); err == nil && p.Steps[0].Deferred {
		err = s.noContainerd()
	}
	return s, p, err
}

// chosenImages looks at the box and chooses what the flags name, or else what
// install would bring.
func (s *session) chosenImages(ctx context.Context, o imagesFlags) (*images.Set, error) {
	if len(o.refs) > 0 || o.from != "" {
		if err := s.gather(ctx); err != nil {
			return nil, err
		}
		return s.newImages(images.Options{Refs: o.refs, From: o.from})
	}
	if err := s.examine(ctx, specFlags{}); err != nil {
		return nil, err
	}
	if !s.spec.Release.On() {
		return s.newImages(images.Options{})
	}
	app, err := s.application()
	return app.images, err
}

// ImportData is what an import did, as programs get it.
type ImportData struct {
	Host        string          `json:"host"`
	Changes     []report.Change `json:"changes"`
	TookSeconds float64         `json:"tookSeconds"`
	BytesSent   int64           `json:"bytesSent"`
}

func imagesImportRun(ctx context.Context, a *app, o imagesFlags) error {
	s, p, err := a.planImages(ctx, o)
	if s != nil {
		defer s.close()
	}
	if err != nil {
		return err
	}
	if p.Empty() {
		a.answer(ImportData{Host: s.name, Changes: []report.Change{}}, func(w io.Writer) {
			fmt.Fprintln(w, s.importSummary(p))
		})
		return nil
	}
	release, err := s.client.Lock(ctx, a.holder())
	if err != nil {
		return err
	}
	defer release()
	a.tell(s.importSummary(p))
	return s.importImages(ctx, p)
}

// importImages applies the plan. A run that was at work until now may have
// changed what is to be sent: the step itself asks the box again.
func (s *session) importImages(ctx context.Context, p measuredPlan) error {
	before := s.client.Stats().BytesOut
	result, err := s.carryOut(ctx, p, step.Options{}, func(step.Event) {})
	changes := p.Steps[0].Changes
	data := ImportData{
		Host: s.name, Changes: report.Changes(changes), TookSeconds: result.Took.Seconds(), BytesSent: s.client.Stats().BytesOut - before,
	}
	if err != nil {
		s.a.data = data
		return err
	}
	s.a.answer(data, func(w io.Writer) {
		fmt.Fprintf(w, "%s has the images: %s in %s; %s sent.\n", s.name, report.Count(len(changes), "change"), report.Duration(result.Took), report.Bytes(data.BytesSent))
	})
	return nil
}
