// A run's leaf in the cgroup tree, version 2. Needs `cgroup.kill`, which Linux has since 5.14.
#ifndef CGROUP_H
#define CGROUP_H

#include "process.h"

// Makes the leaf `name` below the directory `base` and opens it. Returns a descriptor, or -1 with errno.
int cgroup_make(int base, const char *name);

// Removes the leaf and the cgroups that the run made below it. Returns 0 or an error number: EBUSY while a process is left.
int cgroup_remove(int base, const char *name);

// Whether no process is left in the leaf and below it. `events` is its open cgroup.events.
bool cgroup_is_empty(int leaf, int events);

// Calls `visit` for each process of the leaf and below it whose cgroup is below `path`.
void cgroup_each(int leaf, const char *path, void visit(const struct process *process, void *context), void *context);

// Whether the cgroup `path` is `other`, as process_cgroup() tells it, or above it.
bool cgroup_holds(const char *path, const char *other);

// Ends every process of the leaf and below it. `kill` is its open cgroup.kill: opened before the run, which may close its
// files to us where it is of the same user.
void cgroup_kill(int kill);

// Freezes or thaws. Returns an error number, or 0 once the kernel has been told.
int cgroup_freeze(int leaf, bool frozen);

// Whether a freeze is complete.
bool cgroup_is_frozen(int events);

// How many processes of it were killed for want of memory; -1 where the kernel does not count.
int cgroup_memory_kills(int leaf);

#endif
