package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/auth"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/database"
	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/queue"
)

func (s *Site) addExec(w http.ResponseWriter, r *http.Request) {
	var exec struct {
		database.Exec
		Password string `json:"password"`
	}
	if !read(w, r, &exec) {
		return
	}
	if exec.Username == "" || exec.Email == "" || exec.Password == "" {
		http.Error(w, "All fields are required", http.StatusBadRequest)
		return
	}
	exec.PasswordHash = auth.Hash(exec.Password)
	added, err := s.School.AddExec(r.Context(), exec.Exec)
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusCreated, added)
}

func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	var given struct{ Username, Password string }
	if !read(w, r, &given) {
		return
	}
	exec, err := s.School.ExecNamed(r.Context(), given.Username)
	if errors.Is(err, database.ErrNotFound) {
		http.Error(w, "Incorrect username or password", http.StatusUnauthorized)
		return
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	if exec.Inactive {
		http.Error(w, "Account is inactive", http.StatusForbidden)
		return
	}
	if err := auth.Check(given.Password, exec.PasswordHash); err != nil {
		http.Error(w, "Incorrect username or password", http.StatusUnauthorized)
		return
	}
	token, err := s.Tokens.Sign(exec.ID, exec.Username, exec.Role)
	if err != nil {
		fail(w, r, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: tokenCookie, Value: token, Path: "/", HttpOnly: true, Secure: true,
		Expires: time.Now().Add(s.Tokens.Lifetime), SameSite: http.SameSiteStrictMode,
	})
	answer(w, http.StatusOK, map[string]string{"token": token})
}

func (s *Site) forgotPassword(w http.ResponseWriter, r *http.Request) {
	var given struct{ Email string }
	if !read(w, r, &given) {
		return
	}
	exec, err := s.School.ExecAt(r.Context(), given.Email)
	if err != nil {
		fail(w, r, err)
		return
	}
	token := rand.Text()
	hash := sha256.Sum256([]byte(token))
	if err := s.School.AllowReset(r.Context(), exec.ID, hex.EncodeToString(hash[:]), time.Now().Add(s.ResetLifetime)); err != nil {
		fail(w, r, err)
		return
	}
	if err := s.Mail.Send(r.Context(), queue.Reset{Email: exec.Email, Name: exec.FirstName, Token: token}); err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"message": "Password reset link sent to " + exec.Email})
}
