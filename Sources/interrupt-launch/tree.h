// One run's processes, whichever way they are held together: a cgroup, or a process of ours above them.
#ifndef TREE_H
#define TREE_H

#include "process.h"

struct tree {
    pid_t leader;      // 0 when it has been reaped; its number is nobody else's until then
    int leaf;          // the cgroup, or -1: everything below this process is the tree
    int events, kill;  // its cgroup.events and cgroup.kill
    const char *path;  // of the cgroup
};

// Asks every process to end, whether it stands still or not: SIGTERM and SIGCONT, once each. The leader only goes
// on unless `with_leader`.
void tree_terminate(const struct tree *tree, bool with_leader);

// Forces every process to end. Who is being forked meanwhile may be missed: to be repeated until the tree is empty.
void tree_kill(const struct tree *tree);

// Lets no process run any more; returns 0 when that is so, else an error number.
int tree_freeze(const struct tree *tree);

// Lets them go on. Returns 0 or an error number.
int tree_thaw(const struct tree *tree);

// Whether no process is left. Without a cgroup, all children that have ended must have been reaped before.
bool tree_is_empty(const struct tree *tree);

#endif
