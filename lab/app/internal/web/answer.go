package web

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/database"
)

const largestBody = 1 << 20

// read decodes the request's body, or answers that it cannot.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody)).Decode(into); err != nil {
		http.Error(w, "Invalid request body", http.StatusBadRequest)
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "Internal server error", http.StatusInternalServerError)
		return
	}
	answerBytes(w, status, body)
}

func answerBytes(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone misses nothing
}

// fail answers with the status that an error means, and keeps its words to the log.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, database.ErrNotFound):
		http.Error(w, "Not found", http.StatusNotFound)
	case errors.Is(err, database.ErrExists):
		http.Error(w, "Exists already", http.StatusConflict)
	default:
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		http.Error(w, "Internal server error", http.StatusInternalServerError)
	}
}
