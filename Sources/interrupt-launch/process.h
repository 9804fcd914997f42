// Processes as /proc shows them, and signals that reach nobody else.
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// A process that cannot be taken for another one: `directory` is its directory in /proc, which stays that of this very
// process when the number goes to somebody else, and through which it can be signalled.
struct process {
    int directory;
    pid_t pid, parent, group;
    char state;
    uint64_t start;
};

// Opens `pid`. Returns false with errno, ENOENT or ESRCH when it has gone. The caller closes `directory`.
bool process_open(pid_t pid, struct process *process);

// Sends a signal to this very process, or to nobody.
void process_signal(const struct process *process, int signal);

// The first `size - 1` bytes of a file below `directory`, and a NUL. Returns how many, or -1.
ssize_t read_file(int directory, const char *path, char *text, size_t size);

// Writes `text` into a file below `directory`. Returns 0 or an error number.
int write_file(int directory, const char *path, const char *text);

// The cgroup, version 2, that the process is in; NULL when it has none or has gone. It stands in `text`.
const char *process_cgroup(const struct process *process, char *text, size_t size);

// Processes that were found before, each with a number that says something about it.
struct seen {
    struct seen_process { pid_t pid; uint64_t start, number; } *entries;  // the place of none has pid 0
    size_t count, capacity;  // a power of two, more than twice the count
};

// Notes a process. Returns whether it is new, and true where there is no memory to tell.
bool seen_add(struct seen *seen, const struct process *process, uint64_t number);

// The entry of a process, or NULL.
const struct seen_process *seen_find(const struct seen *seen, const struct process *process);

void seen_clear(struct seen *seen);

#endif
