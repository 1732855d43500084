package release

import (
	"context"
	"errors"
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
		user, password := set[secrets.RabbitMQUser].Reveal(), set[secrets.RabbitMQPassword]
		if ok, err := r.brokerLets(ctx, user, password); err != nil || ok {
			if err != nil {
				return err
			}
			continue
		}
		refusal, err := r.Services.Broker(ctx, password, "add_user", user)
		if err == nil && refusal != "" {
			refusal, err = r.Services.Broker(ctx, password, "change_password", user)
		}
		for _, args := range [][]string{{"set_user_tags", user, "administrator"}, {"set_permissions", "-p", "/", user, ".*", ".*", ".*"}} {
			if err == nil && refusal == "" {
				refusal, err = r.Services.Broker(ctx, secrets.Value{}, args...)
			}
		}
		if err != nil {
			return err
		}
		if refusal != "" {
			return errors.New("RabbitMQ takes no second user: " + refusal)
		}
		if ok, err := r.brokerLets(ctx, user, password); err != nil || !ok {
			return errors.Join(fmt.Errorf("RabbitMQ does not let %s in", user), err)
		}
	}
	return nil
}

func (r Rotator) retireBroker(ctx context.Context, s secrets.Rotation) error {
	oldUser, oldPassword := s.Old[secrets.RabbitMQUser].Reveal(), s.Old[secrets.RabbitMQPassword]
	newUser := s.New[secrets.RabbitMQUser].Reveal()
	if ok, err := r.brokerLets(ctx, newUser, s.New[secrets.RabbitMQPassword]); err != nil || !ok {
		return errors.Join(fmt.Errorf("RabbitMQ does not let %s in", newUser), err)
	}
	// Deleting twice is refused; whether the login is dead is asked anyway.
	if _, err := r.Services.Broker(ctx, secrets.Value{}, "delete_user", oldUser); err != nil {
		return err
	}
	ok, err := r.brokerLets(ctx, oldUser, oldPassword)
	if err == nil && ok {
		err = fmt.Errorf("RabbitMQ still lets %s in", oldUser)
	}
	return err
}

func (r Rotator) brokerLets(ctx context.Context, user string, password secrets.Value) (bool, error) {
	refusal, err := r.Services.Broker(ctx, password, "authenticate_user", user)
	return refusal == "", err
}
