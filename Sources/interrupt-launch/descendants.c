#include "descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct walk {
    bool (*skips)(const struct process *child, void *context);
    void (*visit)(const struct process *process, void *context);
    void *context;
    int error;
};

// Why something could not be opened: that it has gone is no error.
static void missed(struct walk *walk) {
    if (errno != ENOENT && errno != ESRCH) walk->error = errno;
}

static void visit_children(struct walk *walk, int directory, pid_t parent, int depth);

// A process that was listed as a child of `parent`: now it may be somebody else's.
static void visit_child(struct walk *walk, pid_t pid, pid_t parent, int depth) {
    struct process child;
    if (!process_open(pid, &child)) {
        missed(walk);
        return;
    }
    bool is_top = depth == 0;
    if (child.parent == parent && !(is_top && walk->skips && walk->skips(&child, walk->context))) {
        walk->visit(&child, walk->context);
        visit_children(walk, child.directory, pid, depth + 1);
    }
    close(child.directory);
}

// `directory` is that of the very process `parent`, so what is listed there are its children, whoever has its number.
static void visit_children(struct walk *walk, int directory, pid_t parent, int depth) {
    if (depth > 256) {  // a chain of descriptors; who is deeper is found when those above are gone
        walk->error = ELOOP;
        return;
    }
    int tasks = openat(directory, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *threads = tasks >= 0 ? fdopendir(tasks) : NULL;
    if (!threads) {
        missed(walk);
        return;
    }
    for (struct dirent *thread; (thread = readdir(threads));) {
        char path[300];
        if (thread->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/children", thread->d_name);
        int file = openat(dirfd(threads), path, O_RDONLY | O_CLOEXEC);
        FILE *list = file >= 0 ? fdopen(file, "r") : NULL;
        if (!list) {
            missed(walk);
            continue;
        }
        for (int pid; fscanf(list, "%d", &pid) == 1;) visit_child(walk, pid, parent, depth);
        fclose(list);
    }
    closedir(threads);
}

int descendants_each(
    bool skips(const struct process *child, void *context),
    void visit(const struct process *process, void *context),
    void *context) {
    struct walk walk = {skips, visit, context, 0};
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return errno;
    visit_children(&walk, directory, getpid(), 0);
    close(directory);
    return walk.error;
}

long children_count(void) {
    static int list = -1;
    if (list < 0) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
        list = open(path, O_RDONLY | O_CLOEXEC);
    }
    char text[4096];
    long count = 0;
    off_t offset = 0;
    ssize_t size;
    // The list comes in pieces, each number with a space. Nobody leaves it between two of them: only we reap.
    for (; (size = pread(list, text, sizeof text, offset)) > 0; offset += size)
        for (ssize_t i = 0; i < size; i++) count += text[i] == ' ';
    return size < 0 ? -1 : count;
}
