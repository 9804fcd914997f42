#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cgroup_make(int base, const char *name) {
    if (mkdirat(base, name, 0755) != 0 && errno != EEXIST) return -1;
    int leaf = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    if (leaf < 0) unlinkat(base, name, AT_REMOVEDIR);
    errno = error;
    return leaf;
}

// Calls `visit` for each cgroup right below `directory`.
static void each_child(int directory, void visit(int directory, const char *name, void *context), void *context) {
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy >= 0 ? fdopendir(copy) : NULL;
    if (!listing) return;
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') visit(directory, entry->d_name, context);
    closedir(listing);
}

static void remove_child(int directory, const char *name, void *context) {
    (void)context;
    cgroup_remove(directory, name);
}

int cgroup_remove(int base, const char *name) {
    if (unlinkat(base, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    fchmodat(base, name, 0700, 0);  // the run may have closed it to us
    int leaf = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (leaf < 0) return errno;
    each_child(leaf, remove_child, NULL);
    close(leaf);
    return unlinkat(base, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

// The number after `name` in lines of "name number"; -1 when there is none.
static long number(const char *text, const char *name) {
    size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ') return strtol(line + length, NULL, 10);
    return -1;
}

// The same in a file of the leaf.
static long file_number(int leaf, const char *file, const char *name) {
    char text[4096];
    return read_file(leaf, file, text, sizeof text) > 0 ? number(text, name) : -1;
}

// The same in its cgroup.events. Reading it is what makes the next change an event.
static long event_number(int events, const char *name) {
    char text[256];
    ssize_t count = pread(events, text, sizeof text - 1, 0);
    if (count < 0 && errno == ENODEV) return 0;  // removed, which only an empty one can be
    text[count > 0 ? count : 0] = 0;
    return number(text, name);
}

bool cgroup_is_empty(int leaf, int events) {
    if (event_number(events, "populated") == 0) return true;
    // A process that has just ended still counts there for a moment, but is not listed any more.
    char text[16];
    return read_file(leaf, "cgroup.procs", text, sizeof text) == 0
        && file_number(leaf, "cgroup.stat", "nr_descendants") == 0;
}

struct search {
    const char *path;
    void (*visit)(const struct process *process, void *context);
    void *context;
};

static void search_below(int directory, const char *name, void *context) {
    struct search *search = context;
    int leaf = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (leaf < 0) return;
    cgroup_each(leaf, search->path, search->visit, search->context);
    close(leaf);
}

void cgroup_each(int leaf, const char *path, void visit(const struct process *process, void *context), void *context) {
    int file = openat(leaf, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    FILE *list = file >= 0 ? fdopen(file, "r") : NULL;
    if (list) {
        struct process process;
        for (int pid; fscanf(list, "%d", &pid) == 1;) {
            if (!process_open(pid, &process)) continue;
            // Looked at through its own directory: the number may have gone to somebody else since it was listed.
            char text[8192];
            const char *own = process_cgroup(&process, text, sizeof text);
            if (own && cgroup_holds(path, own)) visit(&process, context);
            close(process.directory);
        }
        fclose(list);
    }
    struct search search = {path, visit, context};
    each_child(leaf, search_below, &search);
}

bool cgroup_holds(const char *path, const char *other) {
    size_t length = strlen(path);
    return strncmp(other, path, length) == 0 && strchr("/\n", other[length]);
}

void cgroup_kill(int kill) {
    if (write(kill, "1", 1) < 0) return;  // it has been removed, which only an empty one can be
}

int cgroup_freeze(int leaf, bool frozen) { return write_file(leaf, "cgroup.freeze", frozen ? "1" : "0"); }

bool cgroup_is_frozen(int events) { return event_number(events, "frozen") == 1; }

int cgroup_memory_kills(int leaf) { return (int)file_number(leaf, "memory.events", "oom_kill"); }
