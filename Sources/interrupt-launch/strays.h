// Children of the guard that have left their cgroup or lost their supervisor: in the end whoever does becomes one.
#ifndef STRAYS_H
#define STRAYS_H

#include "run.h"

// Sends SIGKILL to each. Returns whether `ending`, one of `runs`, still has to wait: because somebody of its own is there,
// or a stray that may have come of it, which is one that was found while the run was there.
bool strays_kill(const struct run *runs, const struct run *ending);

#endif
