package web

import (
	"compress/gzip"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/auth"
)

// origins are the pages whose scripts may ask.
func origins() []string { return []string{"http://localhost:3000", "https://localhost:3000"} }

// crossOrigin refuses every other page, the application's own host included.
func crossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		if !slices.Contains(origins(), origin) {
			http.Error(w, "Not allowed by CORS", http.StatusForbidden)
			return
		}
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
		header.Set("Access-Control-Allow-Headers", "Content-Type, Authorization")
		header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusOK)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// compress ends every answer with the archive's last bytes, also where nothing
// went into the archive. The real application does, and its clients look at the
// status for that reason; a fault to keep.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		archive := gzip.NewWriter(w)
		defer archive.Close()
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		next.ServeHTTP(zipped{w, archive}, r)
	})
}

type zipped struct {
	http.ResponseWriter
	archive *gzip.Writer
}

func (z zipped) Write(p []byte) (int, error) { return z.archive.Write(p) }

// tokenCookie carries the token; it is for HTTPS only, so a browser that came by
// HTTP never sends it back.
const tokenCookie = "Bearer"

// loggedIn lets through who carries a token, in the cookie or, as programs do,
// in the header.
func (s *Site) loggedIn(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if cookie, err := r.Cookie(tokenCookie); err == nil && !bearer {
			token = cookie.Value
		}
		if token == "" {
			http.Error(w, "Authorization header missing", http.StatusUnauthorized)
			return
		}
		_, err := s.Tokens.Verify(token)
		switch {
		case errors.Is(err, auth.ErrNoSecret):
			fail(w, r, err)
		case err != nil:
			http.Error(w, "Invalid login token", http.StatusUnauthorized)
		default:
			next(w, r)
		}
	})
}

// metrics count what was asked and how long the answers took.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry *prometheus.Registry) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests by method, route and status."}, []string{"method", "path", "status"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Time to answer."}, []string{"method", "path"}),
	}
	registry.MustRegister(m.requests, m.seconds)
	return m
}

func (m metrics) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, noted := time.Now(), &notedStatus{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(noted, r)
		// The route, not the address: numbers in it would make a series each.
		_, route, found := strings.Cut(r.Pattern, " ")
		if !found {
			route = "none"
		}
		m.requests.WithLabelValues(r.Method, route, strconv.Itoa(noted.status)).Inc()
		m.seconds.WithLabelValues(r.Method, route).Observe(time.Since(start).Seconds())
	})
}

type notedStatus struct {
	http.ResponseWriter
	status int
}

func (n *notedStatus) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}
