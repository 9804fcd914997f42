#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "controllers.h"

pid_t fork_into(int leaf, int *process) {
    // The older call where it is enough: container engines forbid clone3 to those without rights.
    if (leaf < 0) return (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, process, NULL, NULL);
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .flags = CLONE_PIDFD | CLONE_INTO_CGROUP, .pidfd = (uint64_t)(uintptr_t)process,
        .cgroup = (uint64_t)leaf};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

// Whether a process can be started in the leaf and ended by it. Returns 0 or an error number.
static int try_leaf(int leaf) {
    if (faccessat(leaf, "cgroup.kill", W_OK, 0) != 0) return errno;
    int process = -1;
    pid_t pid = fork_into(leaf, &process);
    if (pid == 0) _exit(0);
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
        place->controllers = controllers_enable(mount, path);
        return 0;
    }
    close(place->base);
    place->base = -1;
    return error;
}
