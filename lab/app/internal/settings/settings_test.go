package settings

import (
	"strings"
	"testing"
	"time"
)

func from(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestForServer(t *testing.T) {
	set, err := ForServer(from(map[string]string{
		"DB_PRIMARY_HOST": "mysql-primary", "DB_REPLICA_HOST": "mysql-replica", "DB_PORT": "3306",
		"DB_USER": "ssg", "DB_PASSWORD": "p", "DB_NAME": "schooldb", "JWT_EXPIRES_IN": "6000s", "RESET_TOKEN_EXP_DURATION": "10",
		"USE_TLS": "true",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if set.Primary.Address() != "mysql-primary:3306" || set.Replica.Address() != "mysql-replica:3306" || set.Replica.Name != "schooldb" {
		t.Errorf("databases are %+v and %+v", set.Primary, set.Replica)
	}
	if set.JWTLifetime != 6000*time.Second || set.ResetLifetime != 10*time.Minute || !set.TLS {
		t.Errorf("settings are %+v", set)
	}
}

func TestWhatIsNoNumberIsNamed(t *testing.T) {
	for name, value := range map[string]string{"JWT_EXPIRES_IN": "a day", "RESET_TOKEN_EXP_DURATION": "10m"} {
		if _, err := ForServer(from(map[string]string{name: value})); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestForWorker(t *testing.T) {
	for _, mailer := range []string{"", "mock"} {
		if set, err := ForWorker(from(map[string]string{"MAILER_TYPE": mailer, "RABBITMQ_URL": "amqp://x"})); err != nil || set.Mailer != "mock" || set.RabbitMQURL != "amqp://x" {
			t.Errorf("mailer %q: %+v, %v", mailer, set, err)
		}
	}
	if _, err := ForWorker(from(map[string]string{"MAILER_TYPE": "smtp"})); err == nil {
		t.Error("it has a mailer that it has not")
	}
}
