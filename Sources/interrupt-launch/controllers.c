#include "controllers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch.h"
#include "process.h"

static const struct {
    const char *name;
    enum launch_limit bit;
} wanted[] = {{"memory", LAUNCH_LIMIT_MEMORY}, {"pids", LAUNCH_LIMIT_PROCESSES}};

static bool lists(int directory, const char *file, const char *name) {
    char text[1024];
    if (read_file(directory, file, text, sizeof text) <= 0) return false;
    size_t length = strlen(name);
    for (char *word = text; (word = strstr(word, name)); word += length)
        if ((word == text || word[-1] == ' ') && strchr(" \n", word[length])) return true;
    return false;
}

// Moves whoever is in the cgroup into `daemon` below it; some may be forked meanwhile.
static void move_down(int parent) {
    if (mkdirat(parent, "daemon", 0755) != 0 && errno != EEXIST) return;
    for (int looks = 0; looks < 16; looks++) {
        int file = openat(parent, "cgroup.procs", O_RDONLY | O_CLOEXEC);
        FILE *list = file >= 0 ? fdopen(file, "r") : NULL;
        if (!list) return;
        bool is_empty = true;
        for (char pid[32]; fgets(pid, sizeof pid, list);) {
            write_file(parent, "daemon/cgroup.procs", pid);
            is_empty = false;
        }
        fclose(list);
        if (is_empty) return;
    }
}

static void enable(int directory, const char *name) {
    char text[32];
    snprintf(text, sizeof text, "+%s", name);
    write_file(directory, "cgroup.subtree_control", text);  // what came of it is looked up
}

unsigned controllers_enable(const char *mount, const char *path) {
    char directory[4096];
    snprintf(directory, sizeof directory, "%s%.*s", mount, (int)(strrchr(path, '/') - path), path);
    int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int base = parent >= 0 ? openat(parent, strrchr(path, '/') + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    unsigned enabled = 0;
    bool is_moved = false;
    for (size_t i = 0; base >= 0 && i < sizeof wanted / sizeof *wanted; i++) {
        const char *name = wanted[i].name;
        if (!lists(parent, "cgroup.controllers", name)) continue;
        if (!lists(parent, "cgroup.subtree_control", name) && !is_moved && launch_is_delegated(directory)) {
            move_down(parent);
            is_moved = true;
        }
        enable(parent, name);
        enable(base, name);
        if (lists(base, "cgroup.subtree_control", name)) enabled |= wanted[i].bit;
    }
    if (base >= 0) close(base);
    if (parent >= 0) close(parent);
    return enabled;
}
