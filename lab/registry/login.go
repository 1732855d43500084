package registry

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

const tokenPath = "/token"

// login gives one token to who knows the password, as a private repository's
// token server does.
type login struct{ user, password, bearer string }

func newLogin(user, password string) *login {
	return &login{user: user, password: password, bearer: rand.Text()}
}

func (l *login) allows(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && equal(token, l.bearer)
}

// challenge says where a token can be had.
func (l *login) challenge(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s%s",service="lab"`, r.Host, tokenPath))
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", errors.New("authentication required"))
}

func (l *login) token(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	if !ok || !equal(user, l.user) || !equal(password, l.password) {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", errors.New("incorrect username or password"))
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"token": l.bearer})
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
