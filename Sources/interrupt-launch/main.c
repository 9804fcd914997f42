// Starts the processes of each run, keeps hold of all that come of them, and ends them: when it is asked to, when the
// worker says no more of a run, and when the worker itself is gone, however it went.
//
// Where there are cgroups, this process, the guard, is the parent of each run's leader, which begins its life inside of
// its leaf. Elsewhere each run has a supervisor between the two, a copy of this process and the subreaper of all that is
// below it: who loses its parent there becomes its child, so the tree is empty when it has no child left.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "descendants.h"
#include "events.h"
#include "run.h"
#include "strays.h"

enum { SHORTEST_TICK = 1, LONGEST_TICK = 1000 };  // milliseconds
enum { MOST_AT_A_TIME = 256 };  // children, before other runs are looked after

static struct place place = {.base = -1};
static struct run *runs;
static bool is_closing;
static int tick = SHORTEST_TICK;
static long last_tick;  // when everything was looked at last, and what is to be killed was killed again

static struct run *run_of(const struct supervisor *supervisor) {
    struct run *run = runs;
    while (run && run->supervisor != supervisor) run = run->next;
    return run;
}

static void supervisor_ended(struct supervisor *supervisor) {
    struct run *run = supervisor->is_busy ? run_of(supervisor) : NULL;
    if (run) {
        run->is_over = supervisor_is_done(supervisor);
        run->is_lost = !run->is_over;
        run->supervisor = NULL;
    }
    supervisor_forget(supervisor);
}

static void note_end(const siginfo_t *end) {
    struct run *run = runs;
    while (run && run->tree.leader != end->si_pid) run = run->next;
    if (run) {
        // It may have run and ended before its start was looked at, and the worker hears of that first.
        if (run->started >= 0) run->is_over = !run_started(run);
        run_leader_exited(run, end->si_code, end->si_status);
    }
    struct supervisor *supervisor = run ? NULL : supervisor_of(end->si_pid);
    if (supervisor) supervisor_ended(supervisor);
}

static void take_children(void) {
    struct signalfd_siginfo signal;
    if (read(children, &signal, sizeof signal) < 0) return;  // one stands for all children that have ended
    for (int taken = 0; taken < MOST_AT_A_TIME; taken++) {
        siginfo_t info = {0};
        if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | __WALL) != 0 || info.si_pid == 0) return;
        if (info.si_code == CLD_STOPPED) {
            // Nobody has a reason to stop a supervisor, which then ends nothing any more. What is below it becomes the
            // guard's to end.
            if (supervisor_of(info.si_pid)) kill(info.si_pid, SIGKILL);
            continue;
        }
        note_end(&info);
        tick = SHORTEST_TICK;
    }
    raise(SIGCHLD);  // more of them, after whatever else has happened
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void kill_run(struct run *run) {
    run_kill(run);
    tick = SHORTEST_TICK;
    last_tick = milliseconds();
}

static void watch_run(struct run *run) {
    // The guard keeps a supervisor's socket only to say that it was lost. A run that did not begin is over; a supervisor
    // then waits until the worker has heard of that.
    if (run->supervisor || (run->is_over && !place.is_supervisor)) return;
    if (events_watch(run->control, EPOLLIN, run->number, CONTROL)
        && (run->is_over || events_watch(run->started, EPOLLIN, run->number, STARTED))) return;
    run_told(run);  // the worker ends what it cannot hear of
    kill_run(run);
}

// Has changes of the run's leaf told from now on: whether it is empty, whether it stands still.
static void watch_leaf(struct run *run) {
    if (run->is_watched || run->tree.events < 0) return;
    run->is_watched = events_watch(run->tree.events, EPOLLPRI | EPOLLET, run->number, WATCHED);
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
        if (size == LAUNCH_NO_RUN && place.is_supervisor) _exit(1);  // the guard says that the run is lost
        if (size <= 0) return;
        bool has_tree = place.base >= 0 || place.is_supervisor;
        struct run *run = has_tree ? run_start(&place, spec, (size_t)size, descriptors)
                                   : run_pass(&place, runs, spec, (size_t)size, descriptors);
        if (!run) {  // in the new supervisor
            runs = NULL;
            return;
        }
        run->next = runs;
        runs = run;
        watch_run(run);
    }
}

// Kills whoever has reached its fence, and has the next one told.
static void mind_fences(void) {
    uint64_t next = 0, now = 0;
    for (struct run *run = runs; run; run = run->next) {
        // A supervisor minds its own.
        if (!run->fence || run->is_fenced || run->is_over || run->supervisor) continue;
        if (!now) now = launch_boot_time();
        if (now >= run->fence) {
            run->is_fenced = true;
            kill_run(run);
        } else if (!next || run->fence < next) {
            next = run->fence;
        }
    }
    events_set_fence(next);
}

// A supervisor says that its run is over, and is free.
static void take_end(pid_t pid) {
    struct supervisor *supervisor = supervisor_of(pid);
    struct run *run = supervisor ? run_of(supervisor) : NULL;
    if (!supervisor || !supervisor_is_done(supervisor) || !run) return;
    run->supervisor = NULL;
    run->is_over = true;
}

static void handle(const struct epoll_event *event) {
    enum source source = event->data.u64 & ((1 << SOURCE_BITS) - 1);
    uint64_t number = event->data.u64 >> SOURCE_BITS;
    if (source == SUPERVISOR) {
        take_end((pid_t)number);
        return;
    }
    struct run *run = runs;
    while (run && run->number != number) run = run->next;
    if (number && !run) return;
    if (run && run->is_over) {
        if (source == CONTROL && run->control >= 0 && run_is_heard(run)) run_told(run);
        return;
    }
    switch (source) {
    case PACKETS: take_packets(); break;
    case CHILDREN: take_children(); break;
    case FENCE: break;  // they are minded after every event
    case STARTED:
        if (run->started >= 0) run->is_over = !run_started(run);
        break;
    case CONTROL:
        if (run->control >= 0 && !run_asked(run)) {
            run_told(run);
            kill_run(run);
        } else if (run->is_killed) {
            tick = SHORTEST_TICK;
            last_tick = milliseconds();
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
        if (strays_kill(runs, run)) return false;
        run_tell(run, (struct launch_event){LAUNCH_LOST});
        return true;
    }
    if (run->supervisor || run->tree.leader) return false;
    bool is_empty = tree_is_empty(&run->tree) && (place.is_supervisor || !strays_kill(runs, run));
    run_tell_end(run, &place, is_empty);
    if (!is_empty) watch_leaf(run);
    return is_empty;
}

// Ends and frees what is over. Returns whether something has to be looked at again though nothing tells of it.
static bool settle(bool is_tick) {
    bool is_waiting = false;
    for (struct run **link = &runs; *link;) {
        struct run *run = *link, *next = run->next;
        if (is_tick && run->is_killed && !run->is_over) tree_kill(&run->tree);
        if (!run->is_over) run->is_over = ends(run);
        // A supervisor has no other run before the worker has heard of the end of this one: it asks for who is below it.
        if (run->is_over && !place.is_supervisor) run_told(run);
        bool is_told = run->is_over && run->control < 0;
        // One that never began its program is still to be reaped.
        if (is_told && !run->tree.leader && (is_tick || !run->removals) && run_free(run, &place)) {
            *link = next;
            if (place.is_supervisor) send(WORKER, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);  // free for the next one
            continue;
        }
        is_waiting |= run->is_over ? is_told : run->is_killed || run->is_lost || (!run->tree.leader && !run->supervisor);
        link = &run->next;
    }
    return is_waiting;
}

// Until no run is left and no more can come.
static void serve(void) {
    for (bool is_waiting = false; runs || !is_closing;) {
        struct epoll_event list[64];
        int number = epoll_wait(events, list, place.is_supervisor ? 8 : 64, is_waiting ? tick : -1);
        bool was_supervisor = place.is_supervisor;
        // A new supervisor has nothing to do with what else the guard was told.
        for (int i = 0; i < number && was_supervisor == place.is_supervisor; i++) handle(&list[i]);
        // By the clock: what happens to other runs may leave no pause. A tree that forks for ever is seen in one pass of
        // some, so a supervisor, which wakes up for each of its children, makes many.
        long now = milliseconds();
        bool is_tick = now - last_tick >= (place.is_supervisor && number > 0 ? 1 : tick);
        if (is_tick) last_tick = now;
        if (number == 0 && tick < LONGEST_TICK) tick *= 2;
        mind_fences();
        is_waiting = settle(is_tick);
    }
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "interrupt-launch is started by interruptd\n");
        return 64;
    }
    // Nobody's child: the worker has not to wait for it, and it outlives the worker for as long as a run does.
    if (fork() != 0) return 0;
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "interrupt-guard");
    // As its runs are to have them; those that are not wanted here are blocked instead.
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    place.files = files;
    unsigned long asked = strtoul(arguments[3], NULL, 10);
    if (asked) place.files.rlim_cur = asked;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int error = arguments[1][0] == '/' ? place_open(&place, arguments[1], arguments[2]) : 0;
    events_begin();
    if (!events_watch(WORKER, EPOLLIN, 0, PACKETS)) return 1;
    struct run worker = {.control = WORKER};
    run_tell(&worker, (struct launch_event){LAUNCH_READY, place.base >= 0, error, children_count() >= 0, place.limits});
    serve();
    return 0;
}
