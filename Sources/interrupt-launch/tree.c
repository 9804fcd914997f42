#include "tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "descendants.h"

struct sending {
    int signals[2];
    pid_t group, leader;  // have got them already
    struct seen *seen;
    bool found;
};

static void send_once(const struct process *process, void *context) {
    struct sending *sending = context;
    if (process->group == sending->group || process->pid == sending->leader) return;
    if (!seen_add(sending->seen, process, 0)) return;
    sending->found = true;
    for (int i = 0; i < 2; i++)
        if (sending->signals[i]) process_signal(process, sending->signals[i]);
}

// Sends to each process once, and looks again until nobody is new: who is being forked is missed by a single look. In a
// cgroup not for long, because this process has other runs, too. Returns 0, or why somebody may have been missed.
static int send_all(const struct tree *tree, pid_t group, pid_t leader, int first, int second) {
    struct seen seen = {0};
    struct sending sending = {{first, second}, group, leader, &seen, true};
    int error = 0;
    for (int looks = tree->leaf >= 0 ? 4 : 64; sending.found && looks > 0; looks--) {
        sending.found = false;
        if (tree->leaf >= 0)
            cgroup_each(tree->leaf, tree->path, send_once, &sending);
        else
            error = descendants_each(NULL, send_once, &sending);
    }
    seen_clear(&seen);
    return error;
}

void tree_terminate(const struct tree *tree, bool with_leader) {
    send_all(tree, -1, tree->leader && !with_leader ? tree->leader : -1, SIGTERM, SIGCONT);
    // Whoever has asked it by itself may have let it go on before it was stopped here.
    if (tree->leader && !with_leader) kill(tree->leader, SIGCONT);
    if (tree->leaf >= 0) cgroup_freeze(tree->leaf, false);
}

void tree_kill(const struct tree *tree) {
    // The leader's number is its own for as long as it is not reaped.
    if (tree->leaf >= 0) {
        cgroup_kill(tree->kill);
        if (tree->leader) kill(tree->leader, SIGKILL);  // which may have left
        return;
    }
    // The leader's group at once: the kernel does it under one lock, so that a fork meanwhile gets it or is not made.
    if (tree->leader) kill(-tree->leader, SIGKILL);
    send_all(tree, tree->leader ? tree->leader : -1, -1, SIGKILL, 0);
}

int tree_freeze(const struct tree *tree) {
    if (tree->leaf >= 0) return cgroup_freeze(tree->leaf, true);
    if (tree->leader) kill(-tree->leader, SIGSTOP);
    // Its group, too: a leader that has just begun may have made it between these two.
    int error = send_all(tree, -1, -1, SIGSTOP, 0);
    if (error) tree_thaw(tree);
    return error;
}

int tree_thaw(const struct tree *tree) {
    if (tree->leaf >= 0) return cgroup_freeze(tree->leaf, false);
    if (tree->leader) kill(-tree->leader, SIGCONT);
    send_all(tree, tree->leader ? tree->leader : -1, -1, SIGCONT, 0);
    return 0;
}

bool tree_is_empty(const struct tree *tree) {
    if (tree->leader) return false;
    if (tree->leaf >= 0) return cgroup_is_empty(tree->leaf, tree->events);
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0 && errno == ECHILD;
}
