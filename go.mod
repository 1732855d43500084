module github.com/omkar619-dev/ssg-bootstrap

go 1.26.0
