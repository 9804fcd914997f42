// The kernel's own limits for the leaves, where this part of the cgroup tree was given to us.
#ifndef CONTROLLERS_H
#define CONTROLLERS_H

// Has the kernel limit what is below `path`, whose parent is the cgroup of this process. The kernel does that only below a
// cgroup that has no process itself: where the parent was delegated, as systemd's Delegate=yes does, all that are there are
// moved into `daemon` beside `path`. Returns launch_limit bits for what could be had; 0 is no error.
unsigned controllers_enable(const char *mount, const char *path);

#endif
