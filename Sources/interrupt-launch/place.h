// Where runs are put, and how this process was found.
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

struct place {
    int base;                // the directory of the cgroup for all runs, or -1
    char path[3072];         // that cgroup
    struct rlimit files;     // how many descriptors a job may have
    unsigned limits;         // what the kernel limits in a leaf, launch_limit bits
    bool is_supervisor;      // this process has one tree: all that is below it
};

// Makes the cgroup for all runs and tries it out. Returns 0 or an error number.
int place_open(struct place *place, const char *mount, const char *path);

#endif
