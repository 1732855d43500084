package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// The stages of a rotation, each one finished. At every one of them whatever
// runs can log in: the services take the old and the new secret from before
// the first pod reads the new one until after the last one did.
const (
	// staged: the new secrets are kept on this computer; nothing else knows.
	staged = "staged"
	// accepted: the services take both.
	accepted = "accepted"
	// switched: this computer's book holds the new ones as those in force.
	switched = "switched"
	// published: the cluster's Secrets hold them.
	published = "published"
	// rolled: everybody who reads them has read them.
	rolled = "rolled"
)

// Services are what a rotation changes.
type Services interface {
	// SQL runs statements as the database server's own user; role is
	// mysql-primary or mysql-replica.
	SQL(ctx context.Context, role, text string) (string, error)
	// Login reports whether a database lets somebody in.
	Login(ctx context.Context, role string, user secrets.Value, password secrets.Value) (bool, error)
	// Accounts are the names in use in the database.
	Accounts(ctx context.Context) (Accounts, error)
	// BrokerLogin reports whether the broker lets somebody in, PutBrokerUser makes
	// a user or gives one another password, DropBrokerUser deletes one; that
	// there is none is no error.
	BrokerLogin(ctx context.Context, user, password secrets.Value) (bool, error)
	PutBrokerUser(ctx context.Context, user, password secrets.Value) error
	DropBrokerUser(ctx context.Context, user string) error
	// Publish writes one component's Secret.
	Publish(ctx context.Context, book secrets.Book, component secrets.Component) error
	// Roll restarts the pods of the workloads that read other secrets than the
	// book's, one workload after the other, and returns when they serve.
	Roll(ctx context.Context, book secrets.Book) error
}

// Accounts are the names in use in the database.
type Accounts struct {
	App, Replication string
	// Replica is set when there is one.
	Replica bool
}

func (a Accounts) roles() []string {
	if a.Replica {
		return []string{"mysql-primary", "mysql-replica"}
	}
	return []string{"mysql-primary"}
}

// Books is where the book is kept.
type Books interface {
	Load() (secrets.Book, error)
	Save(b *secrets.Book) error
}

// Rotator replaces secrets that are in use.
type Rotator struct {
	Books    Books
	Services Services
	Note     func(text string)
	Now      func() time.Time
}

// Rotations names what can be rotated.
func Rotations() []string { return []string{"mysql", "replication", "rabbitmq", "jwt"} }

// rotation is how one kind of secrets is replaced.
type rotation struct {
	components []secrets.Component
	fresh      func(old secrets.Set) secrets.Set
	// accept makes the services take the new secrets beside the old ones, and
	// proves it. It is run again after a stage in which a service may have
	// been restarted, which forgets one of them.
	accept func(ctx context.Context, r secrets.Rotation) error
	// follow makes those use the new secrets that no restart of a pod reaches.
	follow func(ctx context.Context, r secrets.Rotation) error
	// retire makes the services refuse the old secrets, and proves it.
	retire func(ctx context.Context, r secrets.Rotation) error
}

func nothing(context.Context, secrets.Rotation) error { return nil }

func (r Rotator) kind(what string) (rotation, error) {
	switch what {
	case "mysql":
		return r.mysql(), nil
	case "replication":
		return r.replication(), nil
	case "rabbitmq":
		return r.rabbitmq(), nil
	case "jwt":
		return rotation{
			components: []secrets.Component{secrets.App},
			fresh:      func(secrets.Set) secrets.Set { return secrets.Set{secrets.JWT: secrets.NewPassword()} },
			accept:     nothing, follow: nothing, retire: nothing,
		}, nil
	}
	return rotation{}, fault.New(fault.Usage, "name one of "+strings.Join(Rotations(), ", "), "%q cannot be rotated", what)
}

// Run rotates, or goes on with a rotation that broke off.
func (r Rotator) Run(ctx context.Context, what string) error {
	kind, err := r.kind(what)
	if err != nil {
		return err
	}
	book, err := r.Books.Load()
	if err != nil {
		return err
	}
	if book.Empty() {
		return fault.New(fault.NotInstalled, "ssg-bootstrap deploy --host HOST", "this computer knows no secrets of the release")
	}
	if s := book.Staged; s != nil && s.What != what {
		return fault.New(fault.RotationFailed, "ssg-bootstrap rotate "+s.What+" --host HOST", "the rotation of %s is not finished", s.What)
	}
	if book.Staged == nil {
		fresh := kind.fresh(book.Secrets)
		old := secrets.Set{}
		for k := range fresh {
			old[k] = book.Secrets[k]
		}
		book.Staged = &secrets.Rotation{What: what, Stage: staged, Started: r.Now(), New: fresh, Old: old}
		if err := r.Books.Save(&book); err != nil {
			return err
		}
	} else {
		r.Note("going on after the stage " + book.Staged.Stage)
	}
	if err := r.stages(ctx, kind, &book); err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return &fault.Error{
			Code: fault.RotationFailed, Op: fmt.Sprintf("rotate %s after the stage %s", what, book.Staged.Stage),
			Err: err, Evidence: fault.EvidenceOf(err),
		}
	}
	return nil
}

func (r Rotator) stages(ctx context.Context, kind rotation, book *secrets.Book) error {
	for book.Staged != nil {
		now := *book.Staged
		var err error
		switch now.Stage {
		case staged:
			r.Note("making the new secret valid beside the old one")
			err = kind.accept(ctx, now)
			book.Staged.Stage = accepted
		case accepted:
			book.Secrets = book.Secrets.With(now.New)
			book.Staged.Stage = switched
		case switched:
			for _, c := range kind.components {
				err = errors.Join(err, r.Services.Publish(ctx, *book, c))
			}
			book.Staged.Stage = published
		case published:
			r.Note("letting everybody read the new secret")
			// A service that was restarted meanwhile knows only one of the two.
			if err = kind.accept(ctx, now); err == nil {
				err = kind.follow(ctx, now)
			}
			if err == nil {
				err = r.Services.Roll(ctx, *book)
			}
			book.Staged.Stage = rolled
		case rolled:
			r.Note("taking the old secret out of use")
			err = kind.retire(ctx, now)
			book.Staged = nil
		default:
			err = fmt.Errorf("the stage %q is of a newer ssg-bootstrap", now.Stage)
		}
		if err != nil {
			book.Staged = &now
			return err
		}
		if err := r.Books.Save(book); err != nil {
			book.Staged = &now
			return err
		}
	}
	return nil
}
