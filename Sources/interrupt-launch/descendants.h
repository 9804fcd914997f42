// The processes below this one. It is their subreaper: whoever loses its parent becomes its child, so nobody leaves.
#ifndef DESCENDANTS_H
#define DESCENDANTS_H

#include "process.h"

// Calls `visit` for each process below this one, parents first; `skips` says whose trees are left out, and may be NULL.
// Returns 0, or an error number when somebody may have been missed who was there all the time.
int descendants_each(
    bool skips(const struct process *child, void *context),
    void visit(const struct process *process, void *context),
    void *context);

// How many children this process has that it has not reaped; -1 where the kernel does not list them.
long children_count(void);

#endif
