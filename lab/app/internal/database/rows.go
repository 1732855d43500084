package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"
)

// ErrNotFound means that there is no such row where it was looked for, which
// for a reader can be a replica that has not heard of it yet.
var ErrNotFound = errors.New("no such row")

// ErrExists means that a name or address is taken.
var ErrExists = errors.New("exists already")

// Student is a row that anybody who is logged in may read and write.
type Student struct {
	ID        int    `json:"id"`
	FirstName string `json:"first_name"`
	LastName  string `json:"last_name"`
	Email     string `json:"email"`
	Class     string `json:"class"`
}

// Exec is somebody who can log in.
type Exec struct {
	ID           int    `json:"id"`
	FirstName    string `json:"first_name"`
	LastName     string `json:"last_name"`
	Email        string `json:"email"`
	Username     string `json:"username"`
	PasswordHash string `json:"-"`
	Role         string `json:"role"`
	Inactive     bool   `json:"inactive_status"`
}

// AddStudent writes a row on the primary and returns it with its number.
func (s *School) AddStudent(ctx context.Context, student Student) (Student, error) {
	result, err := s.primary.ExecContext(ctx, "INSERT INTO students (first_name, last_name, email, class) VALUES (?, ?, ?, ?)",
		student.FirstName, student.LastName, student.Email, student.Class)
	student.ID, err = inserted(result, err)
	return student, wrap("add student", err)
}

// Student reads a row from the replica.
func (s *School) Student(ctx context.Context, id int) (Student, error) {
	var student Student
	err := s.replica.QueryRowContext(ctx, "SELECT id, first_name, last_name, email, class FROM students WHERE id = ?", id).
		Scan(&student.ID, &student.FirstName, &student.LastName, &student.Email, &student.Class)
	return student, wrap("read student", err)
}

// Students reads all rows from the replica.
func (s *School) Students(ctx context.Context) ([]Student, error) {
	rows, err := s.replica.QueryContext(ctx, "SELECT id, first_name, last_name, email, class FROM students ORDER BY id")
	if err != nil {
		return nil, wrap("list students", err)
	}
	defer rows.Close()
	students := []Student{}
	for rows.Next() {
		var student Student
		if err := rows.Scan(&student.ID, &student.FirstName, &student.LastName, &student.Email, &student.Class); err != nil {
			return nil, wrap("list students", err)
		}
		students = append(students, student)
	}
	return students, wrap("list students", rows.Err())
}

// AddExec writes somebody who can log in.
func (s *School) AddExec(ctx context.Context, exec Exec) (Exec, error) {
	result, err := s.primary.ExecContext(ctx, "INSERT INTO execs (first_name, last_name, email, username, password, role) VALUES (?, ?, ?, ?, ?, ?)",
		exec.FirstName, exec.LastName, exec.Email, exec.Username, exec.PasswordHash, exec.Role)
	exec.ID, err = inserted(result, err)
	return exec, wrap("add exec", err)
}

// ExecNamed reads somebody from the replica, to be logged in.
func (s *School) ExecNamed(ctx context.Context, username string) (Exec, error) {
	return one(s.replica.QueryRowContext(ctx, selectExec+"username = ?", username))
}

// ExecAt reads somebody from the primary, by address.
func (s *School) ExecAt(ctx context.Context, email string) (Exec, error) {
	return one(s.primary.QueryRowContext(ctx, selectExec+"email = ?", email))
}

const selectExec = "SELECT id, first_name, last_name, email, username, password, role, inactive FROM execs WHERE "

func one(row *sql.Row) (Exec, error) {
	var e Exec
	err := row.Scan(&e.ID, &e.FirstName, &e.LastName, &e.Email, &e.Username, &e.PasswordHash, &e.Role, &e.Inactive)
	return e, wrap("read exec", err)
}

// AllowReset notes the hash of the token that may set a new password until then.
func (s *School) AllowReset(ctx context.Context, execID int, tokenHash string, until time.Time) error {
	_, err := s.primary.ExecContext(ctx, "UPDATE execs SET password_reset_token = ?, password_reset_expires = ? WHERE id = ?", tokenHash, until.UTC(), execID)
	return wrap("allow reset", err)
}

func inserted(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	id, err := result.LastInsertId()
	return int(id), err
}

// wrap names what was tried, and translates what callers tell apart.
func wrap(what string, err error) error {
	var refused *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		err = ErrNotFound
	case errors.As(err, &refused) && refused.Number == duplicateKey:
		err = ErrExists
	}
	return fmt.Errorf("%s: %w", what, err)
}

const duplicateKey = 1062
