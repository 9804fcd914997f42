// A child of this process that begins right in a cgroup, and at no cost for what this process has in memory.
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { CHILD_STACK = 4096 };

// Starts a child that calls `body` with `context` on its own `stack`, of CHILD_STACK bytes aligned to 16, in the cgroup
// `leaf` unless that is -1. Returns its pid, and its pidfd in `process`, or -1 with errno.
//
// When it `shares` the memory of this process, nothing is copied, which is most of what a fork costs, and this process goes
// on meanwhile. So `body` must not return, and is allowed system calls by child_call() alone; all that it uses must stay
// until it has executed a program or is gone. A kernel that ends it for want of memory ends everyone who shares with it.
pid_t child_start(int leaf, bool shares, void body(void *context), void *context, void *stack, int *process);

// A system call that leaves errno alone, which a child may have in common with its parent. Returns what the kernel returns:
// an error is a negative number.
long child_call(long number, long first, long second, long third, long fourth);

#endif
