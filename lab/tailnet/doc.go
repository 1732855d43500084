// Package tailnet is a tailnet of the lab's own: the control server that a real
// tailscaled registers with and polls, the relay (DERP) that carries its
// traffic, and the few routes of Tailscale's API v2 that an installer uses. It
// promises to judge as the real one does where an installer can notice: keys
// that are used up, expired or for another tag, names that are taken, devices
// that were deleted or whose key has expired, and a server that is away. What
// it knows is on the disk before anybody is told, so it may be stopped and
// started at any time and no node notices more than a gap.
package tailnet
