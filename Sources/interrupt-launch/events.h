// What this process waits for.
#ifndef EVENTS_H
#define EVENTS_H

#include <stdbool.h>
#include <stdint.h>

// The descriptor that runs come from: the worker's to the guard, the guard's to a supervisor.
enum { WORKER = 0 };

// What has happened: one of these in the lowest bits of an event's data, and above them the run's number, a supervisor's
// pid, or 0.
enum source { CONTROL, STARTED, WATCHED, PACKETS, CHILDREN, SUPERVISOR, FENCE, SOURCE_BITS = 3 };

// Makes a new set, and waits for children that end. The earlier set, if any, is left to the process that it belongs to.
void events_begin(void);

// Returns false when the kernel allows this user no more of them.
bool events_watch(int descriptor, uint32_t what, uint64_t number, enum source source);

// Waits no more for the descriptor, and closes it. Closing alone is not enough: as long as a child that was just forked has
// a copy, its events would go on.
void events_close(int descriptor);

// Tells FENCE at that instant, in milliseconds of CLOCK_BOOTTIME, in place of the one that was said before; 0 for never.
void events_set_fence(uint64_t instant);

// The set itself, and the descriptor that tells of children.
extern int events, children;

#endif
