package database

import (
	"database/sql"
	"embed"
	"errors"

	"github.com/go-sql-driver/mysql"
	"github.com/golang-migrate/migrate/v4"
	driver "github.com/golang-migrate/migrate/v4/database/mysql"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/settings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrateUp runs what is missing, on a connection of its own that may run
// several statements at once. Whoever runs it holds the server's lock; another
// pod that starts meanwhile waits for that.
func migrateUp(at settings.Database) error {
	c := config(at)
	c.MultiStatements = true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	files, err := iofs.New(migrations, "migrations")
	if err != nil {
		return err
	}
	target, err := driver.WithInstance(sql.OpenDB(connector), &driver.Config{DatabaseName: at.Name})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", files, "mysql", target)
	if err != nil {
		return errors.Join(err, target.Close())
	}
	if err = m.Up(); errors.Is(err, migrate.ErrNoChange) {
		err = nil
	}
	fromSource, fromTarget := m.Close()
	return errors.Join(err, fromSource, fromTarget)
}
