#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "child.h"
#include "controllers.h"

static void exit_at_once(void *context) {
    (void)context;
    child_call(SYS_exit_group, 0, 0, 0, 0);
}

// Whether a process can be started in the leaf and ended by it. Returns 0 or an error number.
static int try_leaf(int leaf) {
    if (faccessat(leaf, "cgroup.kill", W_OK, 0) != 0) return errno;
    static _Alignas(16) char stack[CHILD_STACK];
    int process = -1;
    pid_t pid = child_start(leaf, true, exit_at_once, NULL, stack, &process);
    if (pid < 0) return errno;
    waitpid(pid, NULL, 0);
    close(process);
    return 0;
}

int place_open(struct place *place, const char *mount, const char *path) {
    char directory[4096], name[32];
    snprintf(directory, sizeof directory, "%s%s", mount, path);
    snprintf(place->path, sizeof place->path, "%s", path);
    snprintf(name, sizeof name, "try-%d", getpid());
    if (mkdir(directory, 0755) != 0 && errno != EEXIST) return errno;
    place->base = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->base < 0) return errno;
    int leaf = cgroup_make(place->base, name);
    int error = leaf < 0 ? errno : try_leaf(leaf);
    if (leaf >= 0) close(leaf);
    // Its last process may still be on its way out.
    for (int tries = 0; tries < 10000 && cgroup_remove(place->base, name) == EBUSY; tries++) sched_yield();
    if (!error) {
        place->limits = controllers_enable(mount, path);
        return 0;
    }
    close(place->base);
    place->base = -1;
    return error;
}
