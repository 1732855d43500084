module github.com/omkar619-dev/ssg-bootstrap/lab

go 1.26.0
