// Starts the processes of each run, keeps hold of all that come of them, and ends them: when it is asked to, when the
// worker says no more of a run, and when the worker itself is gone, however it went.
//
// Where there are cgroups, this process, the guard, is the parent of each run's leader, which begins its life inside of
// its leaf. Elsewhere each run has a supervisor between the two, a copy of this process and the subreaper of all that is
// below it: who loses its parent there becomes its child, so the tree is empty when it has no child left.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "descendants.h"
#include "events.h"
#include "run.h"

enum { WORKER = 0 };  // the descriptor that the worker gave it
enum { SHORTEST_TICK = 10, LONGEST_TICK = 1000 };  // milliseconds

static struct place place = {.base = -1};
static struct run *runs;
static bool is_closing;
static int tick = SHORTEST_TICK;

static void kill_run(struct run *run) {
    run_kill(run);
    tick = SHORTEST_TICK;
}

static bool is_leader(pid_t pid) {
    for (struct run *run = runs; run; run = run->next)
        if (pid == run->tree.leader || pid == run->supervisor) return true;
    return false;
}

static int open_own_children(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    return open(path, O_RDONLY | O_CLOEXEC);
}

static bool is_in_its_place(const struct process *child, void *context) {
    (void)context;
    if (is_leader(child->pid)) return true;
    return place.base >= 0 && cgroup_contains(place.path, child);
}

static void kill_stray(const struct process *process, void *context) {
    *(bool *)context = true;
    process_signal(process, SIGKILL);
}

// Ends who has left its cgroup or lost its supervisor. Returns whether there was anybody.
static bool kill_strays(void) {
    static int list = -1;
    char text[4096], *rest = text;
    bool found = false;
    // Most of the time the children are all leaders, which one read tells.
    if (list < 0) list = open_own_children();
    ssize_t count = pread(list, text, sizeof text - 1, 0);
    text[count > 0 ? count : 0] = 0;
    bool is_whole = count >= 0 && count < (ssize_t)sizeof text - 1;
    for (long pid; is_whole && (pid = strtol(rest, &rest, 10)) > 0;)
        if (!is_leader((pid_t)pid)) is_whole = false;
    if (!is_whole) descendants_each(is_in_its_place, kill_stray, &found);
    return found;
}

static void reap(struct run *run, pid_t pid) {
    siginfo_t end = {0};
    // A leader may have run and ended before its start was looked at, and the worker hears of that first.
    if (run && pid == run->tree.leader && run->started >= 0 && !run_started(run)) {
        run->is_over = true;
        return;
    }
    waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | __WALL);
    if (run && pid == run->tree.leader) run_leader_exited(run, end.si_code, end.si_status);
    if (run && pid == run->supervisor) {
        run->supervisor = 0;
        run->is_over = end.si_code == CLD_EXITED && end.si_status == 0;
        run->is_lost = !run->is_over;
    }
}

static void reap_all(void) {
    struct signalfd_siginfo signal;
    while (read(children, &signal, sizeof signal) > 0) continue;
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0) return;
        struct run *run = runs;
        while (run && info.si_pid != run->tree.leader && info.si_pid != run->supervisor) run = run->next;
        reap(run, info.si_pid);
        tick = SHORTEST_TICK;
    }
}

static void watch_run(struct run *run) {
    if (run->is_over) return;
    // The guard keeps a supervisor's socket only to say that it was lost.
    if (!run->supervisor) {
        events_watch(run->control, EPOLLIN, run->number, CONTROL);
        events_watch(run->started, EPOLLIN, run->number, STARTED);
    }
}

// Has changes of the run's leaf told from now on: whether it is empty, whether it stands still.
static void watch_leaf(struct run *run) {
    if (run->is_watched || run->tree.events < 0) return;
    run->is_watched = true;
    events_watch(run->tree.events, EPOLLPRI, run->number, WATCHED);
}

// Leaves behind what is the guard's: above all the other runs' sockets, which must end when the guard does.
static void leave_guard(struct run *own) {
    for (struct run *run = runs, *next; run; run = next) {
        next = run->next;
        if (run->control >= 0) close(run->control);
        free(run);
    }
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, WORKER);
    close(nothing);
    runs = own;
    own->next = NULL;
    events_begin();
}

static void take_packets(void) {
    static char spec[LAUNCH_LONGEST_PACKET];
    int descriptors[LAUNCH_FD_COUNT];
    for (;;) {
        ptrdiff_t size = launch_receive_run(WORKER, spec, descriptors);
        if (size == 0) {
            is_closing = true;
            epoll_ctl(events, EPOLL_CTL_DEL, WORKER, NULL);
        }
        if (size <= 0) return;
        struct run *run = run_start(&place, spec, (size_t)size, descriptors);
        if (place.is_supervisor) {
            leave_guard(run);
            watch_run(run);
            return;
        }
        run->next = runs;
        runs = run;
        watch_run(run);
    }
}

static void handle(const struct epoll_event *event) {
    enum source source = event->data.u64 & ((1 << SOURCE_BITS) - 1);
    uint64_t number = event->data.u64 >> SOURCE_BITS;
    struct run *run = runs;
    while (run && run->number != number) run = run->next;
    if (number && (!run || run->is_over)) return;
    switch (source) {
    case PACKETS: take_packets(); break;
    case CHILDREN: reap_all(); break;
    case STARTED:
        if (run->started >= 0) run->is_over = !run_started(run);
        break;
    case CONTROL:
        if (run->control >= 0 && !run_asked(run)) {
            run_told(run);
            kill_run(run);
        } else if (run->is_killed) {
            tick = SHORTEST_TICK;
        }
        if (run->is_frozen) watch_leaf(run);
        break;
    case WATCHED:
        // Read in any case, so that the next change is told.
        if (cgroup_is_frozen(run->tree.events) && run->is_frozen) {
            run->is_frozen = false;
            run_tell(run, (struct launch_event){LAUNCH_FROZEN});
        }
        break;
    default: break;
    }
}

// Whether the run is over now that its tree is empty.
static bool ends(struct run *run) {
    if (run->is_lost) {
        if (kill_strays()) return false;
        run_tell(run, (struct launch_event){LAUNCH_LOST});
        return true;
    }
    if (run->supervisor || run->tree.leader) return false;
    bool is_empty = tree_is_empty(&run->tree) && (place.is_supervisor || !kill_strays());
    run_tell_end(run, &place, is_empty);
    if (!is_empty) watch_leaf(run);
    return is_empty;
}

// Ends and frees what is over. Returns whether something has to be looked at again though nothing tells of it.
static bool settle(bool is_tick) {
    bool is_waiting = false;
    for (struct run **link = &runs; *link;) {
        struct run *run = *link, *next = run->next;
        // A supervisor repeats it whenever it wakes up: a tree that forks for ever lets no time pass without an event.
        if ((is_tick || place.is_supervisor) && run->is_killed && !run->is_over) tree_kill(&run->tree);
        if (!run->is_over) run->is_over = ends(run);
        if (run->is_over && run_free(run, &place)) {
            *link = next;
            continue;
        }
        is_waiting |= run->is_over || run->is_killed || run->is_lost || (!run->tree.leader && !run->supervisor);
        link = &run->next;
    }
    return is_waiting;
}

// Makes the cgroup for all runs and tries it out. Returns 0 or an error number.
static int open_base(const char *mount, const char *path) {
    char directory[4096], name[32];
    snprintf(directory, sizeof directory, "%s%s", mount, path);
    snprintf(place.path, sizeof place.path, "%s", path);
    snprintf(name, sizeof name, "try-%d", getpid());
    if (mkdir(directory, 0755) != 0 && errno != EEXIST) return errno;
    place.base = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place.base < 0) return errno;
    int leaf = cgroup_make(place.base, name);
    int error = leaf < 0 ? errno : faccessat(leaf, "cgroup.kill", W_OK, 0) != 0 ? errno : 0;
    int process = -1;
    pid_t pid = error ? -1 : fork_into(leaf, &process);
    if (pid == 0) _exit(0);
    if (pid < 0 && !error) error = errno;
    if (pid > 0) waitpid(pid, NULL, 0);
    if (process >= 0) close(process);
    place.counts_memory = leaf >= 0 && faccessat(leaf, "memory.events", R_OK, 0) == 0;
    if (leaf >= 0) close(leaf);
    while (pid > 0 && cgroup_remove(place.base, name) == EBUSY) sched_yield();  // its last process is being freed
    if (pid < 0) cgroup_remove(place.base, name);
    if (!error) return 0;
    close(place.base);
    place.base = -1;
    return error;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "interrupt-launch is started by interruptd\n");
        return 64;
    }
    // Nobody's child: the worker has not to wait for it, and it outlives the worker for as long as a run does.
    if (fork() != 0) return 0;
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "interrupt-guard");
    // Whoever ends the worker politely means the worker, which says what is to become of the runs.
    const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGTSTP, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    place.files = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int error = arguments[1][0] == '/' ? open_base(arguments[1], arguments[2]) : 0;
    events_begin();
    events_watch(WORKER, EPOLLIN, 0, PACKETS);
    int list = open_own_children();
    struct run worker = {.control = WORKER};
    run_tell(&worker, (struct launch_event){LAUNCH_READY, place.base >= 0, error, list >= 0});
    close(list);
    for (bool is_waiting = false; runs || !(is_closing || place.is_supervisor);) {
        struct epoll_event list[64];
        int number = epoll_wait(events, list, place.is_supervisor ? 8 : 64, is_waiting ? tick : -1);
        if (number == 0 && tick < LONGEST_TICK) tick *= 2;
        bool was_supervisor = place.is_supervisor;
        // A new supervisor has nothing to do with what else the guard was told.
        for (int i = 0; i < number && was_supervisor == place.is_supervisor; i++) handle(&list[i]);
        is_waiting = settle(number == 0);
    }
    return 0;
}
