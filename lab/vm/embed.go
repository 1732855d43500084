package vm

import "embed"

// scripts make the image. They are part of its recipe: a changed script makes
// a new image.
//
//go:embed image/*.sh
var scripts embed.FS
