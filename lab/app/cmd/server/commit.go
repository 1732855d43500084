package main

// commit is filled in by the linker; each build of the image has one of its own.
var commit = "unknown"
