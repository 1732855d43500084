package release

import (
	"context"
	"crypto/sha1" //nolint:gosec // the hash that MariaDB's protocol demands
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/wait"
)

// account is one login of the database and the secret that opens it.
type account struct {
	key   secrets.Key
	user  func(Accounts) string
	hosts []string
}

func (r Rotator) mysql() rotation {
	accounts := []account{
		{secrets.MySQLRoot, func(Accounts) string { return "root" }, []string{"localhost", "%"}},
		{secrets.MySQLApp, func(a Accounts) string { return a.App }, []string{"%"}},
	}
	return rotation{
		components: []secrets.Component{secrets.MySQL, secrets.App},
		fresh: func(secrets.Set) secrets.Set {
			return secrets.Set{secrets.MySQLRoot: secrets.NewPassword(), secrets.MySQLApp: secrets.NewPassword()}
		},
		accept: r.acceptAccounts(accounts), follow: nothing, retire: r.retireAccounts(accounts),
	}
}

func (r Rotator) replication() rotation {
	accounts := []account{{secrets.MySQLReplication, func(a Accounts) string { return a.Replication }, []string{"%"}}}
	return rotation{
		components: []secrets.Component{secrets.MySQL},
		fresh: func(secrets.Set) secrets.Set {
			return secrets.Set{secrets.MySQLReplication: secrets.NewPassword()}
		},
		accept: r.acceptAccounts(accounts), follow: r.changeMaster, retire: r.retireAccounts(accounts),
	}
}

// nativeHash is how MariaDB stores a password. Statements carry it instead of
// the password, so that no log of the server ever holds one.
func nativeHash(password secrets.Value) string {
	first := sha1.Sum([]byte(password.Reveal())) //nolint:gosec // see the import
	second := sha1.Sum(first[:])                 //nolint:gosec // see the import
	return fmt.Sprintf("*%X", second)
}

// alter gives an account the passwords. They stay out of the binary log: each
// server keeps accounts of its own, so each one is told.
func alter(a account, names Accounts, passwords ...secrets.Value) string {
	var ways []string
	for _, p := range passwords {
		ways = append(ways, "mysql_native_password USING '"+nativeHash(p)+"'")
	}
	var out strings.Builder
	for _, host := range a.hosts {
		fmt.Fprintf(&out, "ALTER USER IF EXISTS '%s'@'%s' IDENTIFIED VIA %s;\n", a.user(names), host, strings.Join(ways, " OR "))
	}
	return out.String()
}

const unlogged = "SET sql_log_bin=0;\n"

func (r Rotator) acceptAccounts(accounts []account) func(context.Context, secrets.Rotation) error {
	return func(ctx context.Context, s secrets.Rotation) error {
		return r.eachServer(ctx, accounts, func(a account, names Accounts) string {
			return alter(a, names, s.New[a.key], s.Old[a.key])
		}, func(a account, names Accounts, role string) error {
			return r.demand(ctx, role, a.user(names), s.New[a.key], true, "new")
		})
	}
}

func (r Rotator) retireAccounts(accounts []account) func(context.Context, secrets.Rotation) error {
	return func(ctx context.Context, s secrets.Rotation) error {
		return r.eachServer(ctx, accounts, func(a account, names Accounts) string {
			return alter(a, names, s.New[a.key])
		}, func(a account, names Accounts, role string) error {
			return errors.Join(
				r.demand(ctx, role, a.user(names), s.New[a.key], true, "new"),
				r.demand(ctx, role, a.user(names), s.Old[a.key], false, "old"),
			)
		})
	}
}

// eachServer runs the statements for all accounts on one server after the
// other, and proves what they did before it goes to the next.
func (r Rotator) eachServer(ctx context.Context, accounts []account, statement func(account, Accounts) string, prove func(account, Accounts, string) error) error {
	names, err := r.Services.Accounts(ctx)
	if err != nil {
		return err
	}
	for _, role := range names.roles() {
		text := unlogged
		for _, a := range accounts {
			text += statement(a, names)
		}
		if _, err := r.Services.SQL(ctx, role, text); err != nil {
			return err
		}
		for _, a := range accounts {
			if err := prove(a, names, role); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Rotator) demand(ctx context.Context, role, user string, password secrets.Value, want bool, which string) error {
	got, err := r.Services.Login(ctx, role, secrets.NewValue(user), password)
	switch {
	case err != nil:
		return err
	case got == want:
		return nil
	case want:
		return fmt.Errorf("%s does not let %s in with the %s password", role, user, which)
	}
	return fmt.Errorf("%s still lets %s in with the %s password", role, user, which)
}

// changeMaster tells the replica the new password: it keeps its own copy of
// it, and would only miss it at its next reconnect.
func (r Rotator) changeMaster(ctx context.Context, s secrets.Rotation) error {
	names, err := r.Services.Accounts(ctx)
	if err != nil || !names.Replica {
		return err
	}
	sql := fmt.Sprintf("STOP REPLICA;\nCHANGE MASTER TO MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos;\nSTART REPLICA;\n", quoteSQL(s.New[secrets.MySQLReplication]))
	if _, err := r.Services.SQL(ctx, "mysql-replica", sql); err != nil {
		return err
	}
	return wait.Until(ctx, wait.Condition{What: "the replica to follow with its new password", Every: time.Second, Stall: time.Minute, Box: probeBox},
		func(ctx context.Context) (wait.State, error) {
			out, err := r.Services.SQL(ctx, "mysql-replica", "SHOW REPLICA STATUS\\G\n")
			if err != nil {
				return wait.State{}, err
			}
			io, sql := field(out, "Slave_IO_Running"), field(out, "Slave_SQL_Running")
			return wait.State{Done: io == "Yes" && sql == "Yes", Seen: fmt.Sprintf("receiving %s, applying %s %s", io, sql, field(out, "Last_IO_Error"))}, nil
		})
}

func quoteSQL(v secrets.Value) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(v.Reveal())
}

// field reads one line of a vertical answer.
func field(out, name string) string {
	for line := range strings.Lines(out) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
