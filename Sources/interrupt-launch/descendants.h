// The processes below this one. It is their subreaper: whoever loses its parent becomes its child, so nobody leaves.
#ifndef DESCENDANTS_H
#define DESCENDANTS_H

#include "process.h"

// Calls `visit` for each process below this one, parents first; `skips` says whose trees are left out, and may be NULL.
void descendants_each(
    bool skips(const struct process *child, void *context),
    void visit(const struct process *process, void *context),
    void *context);

#endif
