package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/database"
)

// The list of students is kept in Redis for so long, and nothing but time ends
// that: who has added one reads it by its number.
const (
	listKey      = "cache:students"
	listLifetime = 5 * time.Minute
)

func (s *Site) addStudent(w http.ResponseWriter, r *http.Request) {
	var student database.Student
	if !read(w, r, &student) {
		return
	}
	if student.FirstName == "" || student.LastName == "" || student.Email == "" || student.Class == "" {
		http.Error(w, "All fields are required", http.StatusBadRequest)
		return
	}
	added, err := s.School.AddStudent(r.Context(), student)
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusCreated, added)
}

func (s *Site) getStudent(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.Error(w, "Invalid student ID", http.StatusBadRequest)
		return
	}
	student, err := s.School.Student(r.Context(), id)
	if err != nil {
		fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, student)
}

func (s *Site) listStudents(w http.ResponseWriter, r *http.Request) {
	if kept, err := s.Redis.Get(r.Context(), listKey).Bytes(); err == nil {
		answerBytes(w, http.StatusOK, kept)
		return
	}
	students, err := s.School.Students(r.Context())
	if err != nil {
		fail(w, r, err)
		return
	}
	body, err := json.Marshal(map[string]any{"status": "success", "count": len(students), "data": students})
	if err != nil {
		fail(w, r, err)
		return
	}
	s.Redis.Set(r.Context(), listKey, body, listLifetime) // an answer without a cache is an answer
	answerBytes(w, http.StatusOK, body)
}
