#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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
        close(directory);
        return false;
    }
    process->directory = directory;
    process->pid = pid;
    process->parent = parent;
    process->group = group;
    process->start = start;
    return true;
}

void process_signal(const struct process *process, int signal) {
    syscall(424, process->directory, signal, NULL, 0);  // pidfd_send_signal, the same everywhere
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

bool seen_add(struct seen *seen, const struct process *process) {
    for (size_t i = 0; i < seen->count; i++)
        if (seen->entries[i].pid == process->pid && seen->entries[i].start == process->start) return false;
    if (seen->count == seen->capacity) {
        size_t capacity = seen->capacity ? 2 * seen->capacity : 64;
        struct seen_process *entries = realloc(seen->entries, capacity * sizeof *entries);
        if (!entries) return true;
        seen->entries = entries;
        seen->capacity = capacity;
    }
    seen->entries[seen->count++] = (struct seen_process){process->pid, process->start};
    return true;
}

void seen_clear(struct seen *seen) {
    free(seen->entries);
    *seen = (struct seen){0};
}
