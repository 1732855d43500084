package control

import (
	"errors"
	"path/filepath"

	"github.com/omkar619-dev/ssg-bootstrap/lab/archive"
	"github.com/omkar619-dev/ssg-bootstrap/lab/github"
	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
)

type servedGitHub struct {
	server *github.Server
	url    string
}

// serveGitHub opens the stand-in for GitHub, for the workstation on loopback and
// for the box on a socket, and writes its tokens where their users look.
func serveGitHub(config Config) (servedGitHub, func(), error) {
	at := config.GitHub
	server, err := github.New(github.Options{Mirror: config.Mirror, State: at.State})
	if err != nil {
		return servedGitHub{}, nil, err
	}
	for file, write := range map[string]bool{at.Token: true, at.Reader: false} {
		if file == "" {
			continue
		}
		if err := github.WriteSecret(file, server.Token(write)+"\n"); err != nil {
			return servedGitHub{}, nil, err
		}
	}
	here, err := onPort(at.Port, func(address string) (*mirror.Server, error) { return mirror.Listen(address, server) })
	if err != nil {
		return servedGitHub{}, nil, err
	}
	if at.Socket == "" {
		return servedGitHub{server, here.URL()}, func() { here.Close() }, nil
	}
	// The box knows one address for all of the Internet that it needs.
	box, err := mirror.ListenUnix(at.Socket, archive.Beside(filepath.Join(config.Mirror, "debian"), server))
	if err != nil {
		return servedGitHub{}, nil, errors.Join(err, here.Close())
	}
	return servedGitHub{server, here.URL()}, func() { here.Close(); box.Close() }, nil
}
