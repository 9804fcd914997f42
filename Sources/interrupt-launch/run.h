// One run from the packet that starts it to its last event.
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>
#include <sys/types.h>

#include "launch.h"
#include "place.h"
#include "spec.h"
#include "supervisors.h"
#include "tree.h"

struct run {
    struct run *next;
    uint64_t number;   // from 1 on, never used again
    struct tree tree;
    struct start *start;  // what its leader begins with, until it has begun
    struct supervisor *supervisor;  // has the tree, in the guard; NULL where this process has it
    int process;       // the leader's pidfd until the worker has it, or -1
    int control;       // the worker's end of it is what keeps the tree alive; -1 once that has gone
    int started;       // becomes readable when the leader runs its program, or cannot; -1 after that
    bool is_watched;   // the changes of its leaf are waited for
    bool is_killed;    // SIGKILL was sent, and is sent again until the tree is empty
    bool is_frozen;    // a freeze was asked and not answered
    uint64_t fence;    // when it is killed, in milliseconds of CLOCK_BOOTTIME; 0 for never
    bool is_fenced;    // it was
    bool is_over;      // its last event was told; what is left of it is to be freed
    bool is_lost;      // its supervisor was killed: what is left of the tree is the guard's to end
    int removals;      // how often its leaf could not be removed
    struct launch_event end;  // how the leader ended; no kind before that, nor after it was told
    char name[SPEC_LONGEST_LEAF];  // of the leaf
    char path[4096];   // of its cgroup
};

// Starts what the packet says; when it cannot, it says so and the run is over.
struct run *run_start(
    const struct place *place, const char *text, size_t size, const int descriptors[LAUNCH_FD_COUNT]);

// Passes the packet on to a supervisor; when it cannot, it says so and the run is over. Where a new one has to be made it
// returns twice, as fork does: in the new supervisor it returns NULL, `place` says so, and the `others` are gone.
struct run *run_pass(
    struct place *place, struct run *others, const char *text, size_t size, const int descriptors[LAUNCH_FD_COUNT]);

// The leader has begun, or has failed to. Returns whether the run goes on.
bool run_started(struct run *run);

// Carries out all that the worker has asked, so that a fence is seen as it was moved last. Returns false when it asks
// nothing more.
bool run_asked(struct run *run);

// Reads what is asked of a run that is over, which is too late. Returns whether the worker has heard its last event.
bool run_is_heard(struct run *run);

// Sends SIGKILL, now and until the tree is empty.
void run_kill(struct run *run);

// The leader was reaped. To be told by run_tell_end().
void run_leader_exited(struct run *run, int code, int status);

// Tells how the leader ended, if that was not told, and whether that was all.
void run_tell_end(struct run *run, const struct place *place, bool is_empty);

void run_tell(const struct run *run, struct launch_event event);

// Closes its socket: nothing more is told.
void run_told(struct run *run);

// Frees all that belongs to it. Returns false, and is to be called again later, while a process is in the leaf: who has
// moved in is killed. After a thousand times the leaf stays.
bool run_free(struct run *run, const struct place *place);

#endif
