// Package chart holds the application's Helm chart.
//
// It keeps the promise that the program installs exactly the chart that was
// tested with it: the chart is part of the binary, and nothing is fetched.
package chart

import (
	"embed"
	"io/fs"
)

// all: takes in the files that begin with an underscore or a dot, too.
//
//go:embed all:studentsystemgo
var files embed.FS

// FS returns the chart; Chart.yaml is at its root.
func FS() fs.FS {
	sub, err := fs.Sub(files, "studentsystemgo")
	if err != nil {
		panic(err) // the name is constant
	}
	return sub
}
