#include "descendants.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct walk {
    bool (*skips)(const struct process *child, void *context);
    void (*visit)(const struct process *process, void *context);
    void *context;
};

static void visit_children(struct walk *walk, int directory, pid_t parent, int depth);

// A process that was listed as a child of `parent`: now it may be somebody else's.
static void visit_child(struct walk *walk, pid_t pid, pid_t parent, int depth) {
    struct process child;
    if (!process_open(pid, &child)) return;
    bool is_top = depth == 0;
    if (child.parent == parent && !(is_top && walk->skips && walk->skips(&child, walk->context))) {
        walk->visit(&child, walk->context);
        visit_children(walk, child.directory, pid, depth + 1);
    }
    close(child.directory);
}

// `directory` is that of the very process `parent`, so what is listed there are its children, whoever has its number.
static void visit_children(struct walk *walk, int directory, pid_t parent, int depth) {
    if (depth > 256) return;  // a chain of descriptors; who is deeper is found when those above are gone
    int tasks = openat(directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *threads = tasks >= 0 ? fdopendir(tasks) : NULL;
    if (!threads) return;
    for (struct dirent *thread; (thread = readdir(threads));) {
        char path[300];
        if (thread->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/children", thread->d_name);
        int file = openat(dirfd(threads), path, O_RDONLY | O_CLOEXEC);
        FILE *list = file >= 0 ? fdopen(file, "r") : NULL;
        if (!list) continue;
        for (int pid; fscanf(list, "%d", &pid) == 1;) visit_child(walk, pid, parent, depth);
        fclose(list);
    }
    closedir(threads);
}

void descendants_each(
    bool skips(const struct process *child, void *context),
    void visit(const struct process *process, void *context),
    void *context) {
    struct walk walk = {skips, visit, context};
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    visit_children(&walk, directory, getpid(), 0);
    close(directory);
}
