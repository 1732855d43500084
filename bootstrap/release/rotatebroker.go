package release

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// rabbitmq rotates by a second user: RabbitMQ knows one password a user, and
// an application that starts between two passwords would be refused.
func (r Rotator) rabbitmq() rotation {
	return rotation{
		components: []secrets.Component{secrets.RabbitMQ},
		fresh: func(old secrets.Set) secrets.Set {
			return secrets.Set{
				secrets.RabbitMQUser:     secrets.NewValue(nextUser(old[secrets.RabbitMQUser].Reveal())),
				secrets.RabbitMQPassword: secrets.NewPassword(),
			}
		},
		accept: r.acceptBroker, follow: nothing, retire: r.retireBroker,
	}
}

// nextUser counts on: ssg, ssg-2, ssg-3.
func nextUser(old string) string {
	base, count, found := cutLast(old, "-")
	n, err := strconv.Atoi(count)
	if !found || err != nil || n < 2 {
		return old + "-2"
	}
	return fmt.Sprintf("%s-%d", base, n+1)
}

func cutLast(s, sep string) (string, string, bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// acceptBroker makes both users and not only the new one: a broker that was
// restarted after its Secret changed has forgotten neither, but one on a new
// volume only knows the Secret's.
func (r Rotator) acceptBroker(ctx context.Context, s secrets.Rotation) error {
	for _, set := range []secrets.Set{s.Old, s.New} {
		user, password := set[secrets.RabbitMQUser], set[secrets.RabbitMQPassword]
		ok, err := r.Services.BrokerLogin(ctx, user, password)
		if err == nil && ok {
			continue
		}
		if err == nil {
			err = r.Services.PutBrokerUser(ctx, user, password)
		}
		if err == nil {
			err = r.mustLetIn(ctx, user, password)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r Rotator) mustLetIn(ctx context.Context, user, password secrets.Value) error {
	ok, err := r.Services.BrokerLogin(ctx, user, password)
	if err == nil && !ok {
		err = fmt.Errorf("RabbitMQ does not let %s in", user.Reveal())
	}
	return err
}

func (r Rotator) retireBroker(ctx context.Context, s secrets.Rotation) error {
	if err := r.mustLetIn(ctx, s.New[secrets.RabbitMQUser], s.New[secrets.RabbitMQPassword]); err != nil {
		return err
	}
	old := s.Old[secrets.RabbitMQUser]
	if err := r.Services.DropBrokerUser(ctx, old.Reveal()); err != nil {
		return err
	}
	ok, err := r.Services.BrokerLogin(ctx, old, s.Old[secrets.RabbitMQPassword])
	if err == nil && ok {
		err = fmt.Errorf("RabbitMQ still lets %s in", old.Reveal())
	}
	return err
}
