// Package vm makes and runs the lab's boxes: a fresh Debian 13 on an emulated
// Core 2 Duo with 4 GB and a 500 GB disk. It promises that a box which is up
// answers on SSH with the host key that known_hosts names, that a reset box has
// nothing of its past but its ports, and that no packet of a box leaves the
// loopback interface.
package vm
