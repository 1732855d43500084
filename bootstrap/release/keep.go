package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Keeper keeps the secrets of one release: on this computer, encrypted, and in
// the cluster, as the Secrets that the chart's pods read.
type Keeper struct {
	Want  Want
	Store *secrets.Store
	// File is a secrets.values.yaml to begin with; it may be empty.
	File string
	Now  func() time.Time
	Note func(text string)
}

// Book returns what is kept on this computer, ready to be compared. A rotation
// that was begun comes first: its two sets of secrets must not be mixed.
func (k Keeper) Book() (secrets.Book, error) {
	b, err := k.Store.Load()
	if err != nil {
		return b, err
	}
	return settled(b)
}

func settled(b secrets.Book) (secrets.Book, error) {
	if r := b.Staged; r != nil {
		return b, fault.New(fault.RotationFailed, "ssg-bootstrap rotate "+r.What+" --host HOST",
			"the rotation of %s that was begun at %s is not finished", r.What, r.Started.UTC().Format(time.RFC3339))
	}
	return b, nil
}

// Sync makes this computer and the cluster hold the same secrets. What is in
// use in the cluster is taken over and never overwritten; only what neither has
// is made. This computer's copy is written first: a password that only the
// cluster knew would be lost with its disk.
func (k Keeper) Sync(ctx context.Context, c *cluster.Cluster) (secrets.Book, error) {
	book, err := k.Book()
	if err != nil {
		return book, err
	}
	if err := c.EnsureNamespace(ctx); err != nil {
		return book, err
	}
	there, salt, err := k.read(ctx, c)
	if err != nil {
		return book, err
	}
	next, err := k.combine(book, there)
	if err != nil {
		return book, err
	}
	if !salt.Empty() {
		next.Salt = salt
	}
	if next.Salt.Empty() {
		next.Salt = secrets.NewPassword()
	}
	if next.Salt != book.Salt || !same(next.Secrets, book.Secrets) {
		if err := k.Store.Save(&next); err != nil {
			return book, err
		}
	}
	return next, k.write(ctx, c, next)
}

func (k Keeper) read(ctx context.Context, c *cluster.Cluster) (secrets.Set, secrets.Value, error) {
	there, salt := secrets.Set{}, secrets.Value{}
	for _, component := range secrets.Components() {
		s, err := c.ReadSecret(ctx, k.Want.SecretName(component))
		if err != nil {
			return nil, salt, err
		}
		if s == nil {
			continue
		}
		there = there.With(component.Adopt(s.Data))
		if !s.Salt.Empty() {
			salt = s.Salt
		}
	}
	return there, salt, nil
}

// combine decides for each secret where it comes from: the cluster, this
// computer, the file, or nowhere yet.
func (k Keeper) combine(book secrets.Book, there secrets.Set) (secrets.Book, error) {
	if changed := book.Secrets.Differing(there); len(changed) > 0 {
		k.Note(fmt.Sprintf("the cluster uses another %s than this computer knew: taken over, the earlier copy stays", names(changed)))
	}
	known := book.Secrets.With(there)
	if k.File != "" {
		given, err := secrets.ReadValues(k.File)
		if err != nil {
			return book, err
		}
		if changed := known.Differing(given); len(changed) > 0 {
			return book, &fault.Error{
				Code: fault.SecretsDiffer, Op: "take over " + k.File,
				Err:      errors.New("it holds other secrets than those in use"),
				Evidence: strings.ReplaceAll(names(changed), ", ", "\n"),
				Next:     "a database keeps its password whatever a file says: change one with `ssg-bootstrap rotate`, and take it out of the file",
			}
		}
		known = known.With(given.Without(known))
	}
	complete, err := known.Complete(k.Want.Namespace, k.Now())
	book.Secrets = complete
	return book, err
}

func (k Keeper) write(ctx context.Context, c *cluster.Cluster, book secrets.Book) error {
	for _, component := range secrets.Components() {
		if err := k.WriteOne(ctx, c, book, component); err != nil {
			return err
		}
	}
	return nil
}

// WriteOne makes one component's Secret in the cluster what the book says.
func (k Keeper) WriteOne(ctx context.Context, c *cluster.Cluster, book secrets.Book, component secrets.Component) error {
	data, err := book.Secrets.Data(component)
	if err != nil {
		return err
	}
	return c.WriteSecret(ctx, k.Want.SecretName(component), data, book.Salt)
}

func same(a, b secrets.Set) bool {
	return len(a) == len(b) && len(a.Differing(b)) == 0 && len(a.Without(b)) == 0
}

func names(keys []secrets.Key) string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = string(k)
	}
	return strings.Join(out, ", ")
}
