// The lab has no Node.js. externals/node20/bin/node is a small program that does
// what the service's script does: start the listener, start it again for exit
// codes 2, 3 and 4 after five seconds and at most ten times in a row, and end
// for 0, 1 and 5.
