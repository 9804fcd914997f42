#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"

bool process_open(pid_t pid, struct process *process) {
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d", pid);
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return false;
    // The name stands in parentheses and may hold any byte, so the fields are counted from its end.
    char *fields = read_file(directory, "stat", text, sizeof text) > 0 ? strrchr(text, ')') : NULL;
    unsigned long long start;
    int parent, group;
    if (!fields || sscanf(fields + 1,
            " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
            &process->state, &parent, &group, &start) != 4) {
        int error = fields ? ESRCH : errno;
        close(directory);
        errno = error;
        return false;
    }
    process->directory = directory;
    process->pid = pid;
    process->parent = parent;
    process->group = group;
    process->start = start;
    return true;
}

void process_signal(const struct process *process, int signal) { launch_signal(process->directory, signal); }

const char *process_cgroup(const struct process *process, char *text, size_t size) {
    if (read_file(process->directory, "cgroup", text, size) <= 0) return NULL;
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    return line ? strstr(line, "0::") + 3 : NULL;
}

ssize_t read_file(int directory, const char *path, char *text, size_t size) {
    int file = openat(directory, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    // One read: the kernel makes each of these files in one piece.
    ssize_t count = read(file, text, size - 1);
    close(file);
    text[count > 0 ? count : 0] = 0;
    return count;
}

int write_file(int directory, const char *path, const char *text) {
    int file = openat(directory, path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return errno;
    int error = write(file, text, strlen(text)) < 0 ? errno : 0;
    close(file);
    return error;
}

// Where the process stands, or is to stand.
static struct seen_process *seen_place(const struct seen *seen, pid_t pid, uint64_t start) {
    size_t i = (size_t)pid & (seen->capacity - 1);
    while (seen->entries[i].pid && (seen->entries[i].pid != pid || seen->entries[i].start != start))
        i = (i + 1) & (seen->capacity - 1);
    return &seen->entries[i];
}

static bool seen_grow(struct seen *seen) {
    struct seen more = {.count = seen->count, .capacity = seen->capacity ? 2 * seen->capacity : 64};
    more.entries = calloc(more.capacity, sizeof *more.entries);
    if (!more.entries) return false;
    for (size_t i = 0; i < seen->capacity; i++)
        if (seen->entries[i].pid) *seen_place(&more, seen->entries[i].pid, seen->entries[i].start) = seen->entries[i];
    free(seen->entries);
    *seen = more;
    return true;
}

bool seen_add(struct seen *seen, const struct process *process, uint64_t number) {
    if (2 * (seen->count + 1) >= seen->capacity && !seen_grow(seen)) return true;
    struct seen_process *place = seen_place(seen, process->pid, process->start);
    if (place->pid) return false;
    *place = (struct seen_process){process->pid, process->start, number};
    seen->count++;
    return true;
}

const struct seen_process *seen_find(const struct seen *seen, const struct process *process) {
    if (seen->count == 0) return NULL;
    const struct seen_process *place = seen_place(seen, process->pid, process->start);
    return place->pid ? place : NULL;
}

void seen_clear(struct seen *seen) {
    free(seen->entries);
    *seen = (struct seen){0};
}
