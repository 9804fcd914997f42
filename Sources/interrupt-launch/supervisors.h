// Supervisors: copies of the guard, each of which is the subreaper of one tree at a time. Kept for the next run, because to
// make one takes longer than most of what else a start does.
#ifndef SUPERVISORS_H
#define SUPERVISORS_H

#include <stdbool.h>
#include <sys/types.h>

struct supervisor {
    struct supervisor *next;
    pid_t pid;
    int socket;    // runs are passed on there, and a byte comes back when its run is over; -1 when it is to end
    bool is_busy;  // it has a run
};

// One that has no run, or a new one; it has one now. Returns NULL with errno when there can be none. When it makes one it
// returns twice, as fork does: in the new supervisor it returns NULL and sets `is_supervisor`, and there are no others.
struct supervisor *supervisor_take(bool *is_supervisor);

// Reads what it says. Returns whether its run is over, and then it is free.
bool supervisor_is_done(struct supervisor *supervisor);

// Lets it end.
void supervisor_dismiss(struct supervisor *supervisor);

// It has ended and was reaped.
void supervisor_forget(struct supervisor *supervisor);

// The one with this pid; NULL when there is none.
struct supervisor *supervisor_of(pid_t pid);

// How many there are.
long supervisors_count(void);

#endif
