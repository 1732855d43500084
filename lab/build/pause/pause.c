// The process that holds a pod's namespaces open: it does nothing until it is
// told to stop, and collects the children that the pod's processes leave
// behind when they share its process namespace.
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
	sigset_t watched;
	sigemptyset(&watched);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGCHLD);
	// Blocked, then waited for: a signal that comes between two waits is kept.
	if (sigprocmask(SIG_BLOCK, &watched, NULL) != 0)
		return 1;
	for (;;) {
		int signal;
		if (sigwait(&watched, &signal) != 0)
			return 1;
		if (signal != SIGCHLD)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
