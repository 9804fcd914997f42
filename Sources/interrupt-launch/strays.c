#include "strays.h"

#include <signal.h>
#include <stddef.h>

#include "cgroup.h"
#include "descendants.h"

// Those that were there at the last look, each with the number of the newest run when it was found: one that cannot be
// killed must not hold up whatever begins after that.
static struct seen strays;

struct look {
    const struct run *runs, *ending;
    struct seen now;
    bool found;
};

static bool is_ours(const struct run *runs, pid_t pid) {
    for (const struct run *run = runs; run; run = run->next)
        if (pid == run->tree.leader) return true;
    return supervisor_of(pid) != NULL;
}

// Its place is the leaf of any run: whose it was when it was born cannot be told.
static bool is_in_its_place(const struct process *child, void *context) {
    struct look *look = context;
    if (is_ours(look->runs, child->pid)) return true;
    char text[8192];
    const char *cgroup = process_cgroup(child, text, sizeof text);
    for (const struct run *run = look->runs; cgroup && run; run = run->next) {
        if (run->tree.leaf < 0 || !cgroup_holds(run->path, cgroup)) continue;
        // The kernel counts it no more, but it may have children that are not ours until it is reaped.
        look->found |= run == look->ending;
        return true;
    }
    return false;
}

static void kill_stray(const struct process *process, void *context) {
    struct look *look = context;
    process_signal(process, SIGKILL);
    const struct seen_process *before = seen_find(&strays, process);
    uint64_t newest = before ? before->number : look->runs->number;  // the newest run is the first
    seen_add(&look->now, process, newest);
    look->found |= newest >= look->ending->number;
}

bool strays_kill(const struct run *runs, const struct run *ending) {
    long ours = supervisors_count();
    for (const struct run *run = runs; run; run = run->next) ours += run->tree.leader != 0;
    struct look look = {runs, ending, {0}, false};
    // Most of the time there are no others, which their number tells.
    if (children_count() != ours) descendants_each(is_in_its_place, kill_stray, &look);
    seen_clear(&strays);
    strays = look.now;
    return look.found;
}
