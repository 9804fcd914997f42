#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cgroup.h"
#include "child.h"
#include "events.h"
#include "spec.h"

// What a leader needs until it runs its program.
struct start {
    _Alignas(16) char stack[CHILD_STACK];
    struct spec spec;
    struct rlimit files;
    int descriptors[LAUNCH_FD_COUNT];
    int report;
    char text[];  // of the spec
};

void run_tell(const struct run *run, struct launch_event event) {
    if (run->control >= 0) launch_send_event(run->control, &event, -1);
}

static void start_free(struct start *start) {
    if (start) spec_close(&start->spec);
    free(start);
}

// The leader's part, which has the guard's memory in common. The guard has blocked all signals and handles none, so there is
// only the mask to be set.
__attribute__((disable_sanitizer_instrumentation)) static void become(void *context) {
    const struct start *start = context;
    child_call(SYS_setsid, 0, 0, 0, 0);
    child_call(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&start->files, 0);
    // The three may be any numbers above 2: those of this process below 3 are always in use.
    child_call(SYS_dup3, start->descriptors[LAUNCH_INPUT_FD], 0, 0, 0);
    child_call(SYS_dup3, start->descriptors[LAUNCH_OUTPUT_FD], 1, 0, 0);
    child_call(SYS_dup3, start->descriptors[LAUNCH_ERROR_FD], 2, 0, 0);
    // Whoever waits here for a slow disk must not keep other runs' sockets open meanwhile.
    if (start->report != 3) child_call(SYS_dup3, start->report, 3, O_CLOEXEC, 0);
    child_call(436, 4, ~0U, 0, 0);  // close_range; before Linux 5.9 they are closed a little later
    const struct spec *spec = &start->spec;
    int32_t failure[2] = {LAUNCH_STEP_DIRECTORY, 0};
    long error = spec->directory[0] ? child_call(SYS_chdir, (long)spec->directory, 0, 0, 0) : 0;
    if (error == 0) {
        failure[0] = LAUNCH_STEP_EXEC;
        // Not before: what dumps core ends everyone who shares the memory, before Linux 5.16.
        sigset_t none;
        sigemptyset(&none);
        child_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, NSIG / 8);
        error = child_call(SYS_execve, (long)spec->program, (long)spec->arguments, (long)spec->variables, 0);
    }
    failure[1] = (int32_t)-error;
    child_call(SYS_write, 3, (long)failure, sizeof failure, 0);
    child_call(SYS_exit_group, 127, 0, 0, 0);
}

// Starts the leader. Returns a launch_step, or 0; errno says more.
static int start_leader(
    const struct place *place, struct run *run, struct start *start, const int descriptors[LAUNCH_FD_COUNT]) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return LAUNCH_STEP_FORK;
    start->files = place->files;
    memcpy(start->descriptors, descriptors, sizeof start->descriptors);
    start->report = report[1];
    // A leaf with a limit of memory may be too small for the leader to begin.
    bool shares = start->spec.setting_count == 0;
    pid_t pid = child_start(run->tree.leaf, shares, become, start, start->stack, &run->process);
    int error = errno;
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        errno = error;
        return LAUNCH_STEP_FORK;
    }
    run->tree.leader = pid;
    run->started = report[0];
    return 0;
}

static int make_leaf(const struct place *place, struct run *run, const struct spec *spec) {
    snprintf(run->path, sizeof run->path, "%s/%s", place->path, run->name);
    run->tree.leaf = cgroup_make(place->base, run->name);
    if (run->tree.leaf < 0) return LAUNCH_STEP_CGROUP;
    for (uint32_t i = 0; i < spec->setting_count; i++) {
        errno = write_file(run->tree.leaf, spec->settings[2 * i], spec->settings[2 * i + 1]);
        if (errno) return LAUNCH_STEP_CGROUP;
    }
    run->tree.events = openat(run->tree.leaf, "cgroup.events", O_RDONLY | O_CLOEXEC);
    run->tree.kill = openat(run->tree.leaf, "cgroup.kill", O_WRONLY | O_CLOEXEC);
    return run->tree.events < 0 || run->tree.kill < 0 ? LAUNCH_STEP_CGROUP : 0;
}

static struct run *run_new(int control) {
    static uint64_t last_number;
    struct run *run = calloc(1, sizeof *run);
    if (!run) abort();
    run->number = ++last_number;
    run->control = control;
    run->started = run->process = run->tree.leaf = run->tree.events = run->tree.kill = -1;
    run->tree.path = run->path;
    return run;
}

// Says so when it was not started, and closes all but its socket.
static void run_begun(struct run *run, int step, int error, const int descriptors[LAUNCH_FD_COUNT]) {
    if (step) run_tell(run, (struct launch_event){LAUNCH_FAILED, step, error});
    run->is_over = step != 0;
    for (int i = 0; i < LAUNCH_FD_COUNT; i++)
        if (i != LAUNCH_CONTROL_FD && descriptors[i] >= 0) close(descriptors[i]);
}

struct run *run_start(
    const struct place *place, const char *text, size_t size, const int descriptors[LAUNCH_FD_COUNT]) {
    struct run *run = run_new(descriptors[LAUNCH_CONTROL_FD]);
    struct start *start = malloc(sizeof *start + size);
    if (!start) abort();
    memcpy(start->text, text, size);
    run->start = start;
    int step = LAUNCH_STEP_SPEC;
    errno = EINVAL;
    if (spec_open(&start->spec, start->text, size, descriptors[LAUNCH_SPEC_FD])) {
        snprintf(run->name, sizeof run->name, "%s", start->spec.leaf);
        run->fence = start->spec.fence;
        // The worker may have been stopped since it looked at the clock.
        bool is_late = run->fence && launch_boot_time() >= run->fence;
        step = is_late ? LAUNCH_STEP_FENCE : place->base >= 0 ? make_leaf(place, run, &start->spec) : 0;
        if (!step) step = start_leader(place, run, start, descriptors);
    }
    run_begun(run, step, errno, descriptors);
    return run;
}

struct run *run_pass(
    struct place *place, struct run *others, const char *text, size_t size, const int descriptors[LAUNCH_FD_COUNT]) {
    struct run *run = run_new(descriptors[LAUNCH_CONTROL_FD]);
    int error;
    do {
        run->supervisor = supervisor_take(&place->is_supervisor);
        error = run->supervisor ? launch_pass_run(run->supervisor->socket, text, size, descriptors) : errno;
        if (error && run->supervisor) supervisor_dismiss(run->supervisor);
    } while (run->supervisor && error == EPIPE);  // somebody has ended that one
    if (error) run->supervisor = NULL;
    run_begun(run, !place->is_supervisor && error ? LAUNCH_STEP_FORK : 0, error, descriptors);
    if (!place->is_supervisor) return run;
    // Above all the runs' sockets, which must end when the guard does.
    run->next = others;
    for (struct run *next; run; run = next) {
        next = run->next;
        if (run->control >= 0) close(run->control);
        free(run);
    }
    return NULL;
}

bool run_started(struct run *run) {
    int32_t failure[2];
    ssize_t count = read(run->started, failure, sizeof failure);
    events_close(run->started);
    run->started = -1;
    if (count != sizeof failure) {
        // Its end of the pipe is closed after it has left this memory.
        start_free(run->start);
        run->start = NULL;
        struct launch_event event = {LAUNCH_STARTED, run->tree.leader, run->tree.leaf >= 0 ? 0 : getpid()};
        if (run->control >= 0) launch_send_event(run->control, &event, run->process);
        close(run->process);
        run->process = -1;
        return true;
    }
    if (run->tree.leader) kill(run->tree.leader, SIGKILL);  // it is about to end, but may stand still
    run_tell(run, (struct launch_event){LAUNCH_FAILED, failure[0], failure[1]});
    return false;
}

bool run_is_heard(struct run *run) {
    uint8_t request;
    ssize_t count;
    while ((count = recv(run->control, &request, 1, MSG_DONTWAIT)) > 0) continue;
    return count == 0 || (errno != EAGAIN && errno != EINTR);
}

static void take_request(struct run *run, const struct launch_fence *fence, bool has_instant) {
    uint8_t request = fence->request;
    switch (request) {
    case LAUNCH_TERMINATE:
    case LAUNCH_TERMINATE_ALL:
        tree_terminate(&run->tree, request == LAUNCH_TERMINATE_ALL);
        run->is_frozen = false;
        break;
    case LAUNCH_KILL: run_kill(run); break;
    case LAUNCH_FENCE:
        // Whose tree is being killed already stays so.
        if (has_instant && run->fence) run->fence = fence->instant;
        break;
    case LAUNCH_FREEZE: {
        int error = tree_freeze(&run->tree);
        // A cgroup stands still a little later, which its file tells.
        run->is_frozen = error == 0 && run->tree.leaf >= 0 && !cgroup_is_frozen(run->tree.events);
        if (!run->is_frozen) run_tell(run, (struct launch_event){LAUNCH_FROZEN, error});
        break;
    }
    case LAUNCH_THAW:
        if (run->is_frozen) run_tell(run, (struct launch_event){LAUNCH_FROZEN, ECANCELED});
        run->is_frozen = false;
        run_tell(run, (struct launch_event){LAUNCH_THAWED, tree_thaw(&run->tree)});
        break;
    }
}

bool run_asked(struct run *run) {
    struct launch_fence fence = {0};
    ssize_t count;
    while ((count = recv(run->control, &fence, sizeof fence, MSG_DONTWAIT)) > 0) {
        take_request(run, &fence, count == sizeof fence);
    }
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

void run_kill(struct run *run) {
    // Most trees without a cgroup are one group, which needs no search. Whoever is left is found at the next look.
    bool is_first = !run->is_killed && run->tree.leaf < 0 && run->tree.leader;
    if (is_first)
        kill(-run->tree.leader, SIGKILL);
    else
        tree_kill(&run->tree);
    run->is_killed = true;
}

void run_leader_exited(struct run *run, int code, int status) {
    run->tree.leader = 0;
    run->end = (struct launch_event){LAUNCH_EXITED, code, status, -1};
}

void run_tell_end(struct run *run, const struct place *place, bool is_empty) {
    if (run->end.kind) {
        if (place->limits & LAUNCH_LIMIT_MEMORY) run->end.third = cgroup_memory_kills(run->tree.leaf);
        run->end.fourth = (is_empty ? LAUNCH_EXIT_EMPTY : 0) | (run->is_fenced ? LAUNCH_EXIT_FENCED : 0);
        run_tell(run, run->end);
        run->end.kind = 0;
    } else if (is_empty) {
        run_tell(run, (struct launch_event){LAUNCH_EMPTY});
    }
}

void run_told(struct run *run) {
    if (run->control >= 0) events_close(run->control);
    run->control = -1;
}

bool run_free(struct run *run, const struct place *place) {
    enum { MOST_REMOVALS = 1000 };
    start_free(run->start);
    run->start = NULL;
    if (run->started >= 0) events_close(run->started);
    if (run->process >= 0) close(run->process);
    if (run->is_watched) events_close(run->tree.events);
    else if (run->tree.events >= 0) close(run->tree.events);
    run->is_watched = false;
    run->started = run->process = run->tree.events = -1;
    if (run->tree.leaf >= 0 && cgroup_remove(place->base, run->name) == EBUSY && ++run->removals < MOST_REMOVALS) {
        cgroup_kill(run->tree.kill);
        return false;
    }
    if (run->tree.kill >= 0) close(run->tree.kill);
    if (run->tree.leaf >= 0) close(run->tree.leaf);
    free(run);
    return true;
}
