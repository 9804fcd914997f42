#include "supervisors.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events.h"
#include "launch.h"

enum { MOST_IDLE = 16 };  // each has some 100 KiB of its own

static struct supervisor *supervisors;

// In the guard's child: takes everything below it as its tree, and its runs from `socket` in the place of the worker's.
static void become_supervisor(int socket) {
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "interrupt-run");
    for (struct supervisor *other = supervisors, *next; other; other = next) {
        next = other->next;
        if (other->socket >= 0) close(other->socket);
        free(other);
    }
    supervisors = NULL;
    dup2(socket, WORKER);
    close(socket);
    events_begin();
    if (!events_watch(WORKER, EPOLLIN, 0, PACKETS)) _exit(1);
}

static struct supervisor *make(bool *is_supervisor) {
    int sockets[2];
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    if (!supervisor || launch_make_sockets(sockets) != 0) {
        free(supervisor);
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0) {
        free(supervisor);
        close(sockets[0]);
        become_supervisor(sockets[1]);
        *is_supervisor = true;
        return NULL;
    }
    int error = errno;
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        free(supervisor);
        errno = error;
        return NULL;
    }
    *supervisor = (struct supervisor){supervisors, pid, sockets[0], true};
    supervisors = supervisor;
    if (events_watch(sockets[0], EPOLLIN, (uint64_t)pid, SUPERVISOR)) return supervisor;
    error = errno;
    supervisor_dismiss(supervisor);
    errno = error;
    return NULL;
}

struct supervisor *supervisor_take(bool *is_supervisor) {
    for (struct supervisor *supervisor = supervisors; supervisor; supervisor = supervisor->next) {
        if (supervisor->is_busy || supervisor->socket < 0) continue;
        supervisor->is_busy = true;
        return supervisor;
    }
    return make(is_supervisor);
}

bool supervisor_is_done(struct supervisor *supervisor) {
    char byte;
    ssize_t count = supervisor->socket < 0 ? 0 : recv(supervisor->socket, &byte, 1, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN)) supervisor_dismiss(supervisor);
    if (count <= 0) return false;
    int idle = 0;
    for (struct supervisor *other = supervisors; other; other = other->next) idle += !other->is_busy;
    supervisor->is_busy = false;
    if (idle >= MOST_IDLE) supervisor_dismiss(supervisor);
    return true;
}

void supervisor_dismiss(struct supervisor *supervisor) {
    if (supervisor->socket >= 0) events_close(supervisor->socket);
    supervisor->socket = -1;
}

void supervisor_forget(struct supervisor *supervisor) {
    struct supervisor **link = &supervisors;
    while (*link != supervisor) link = &(*link)->next;
    *link = supervisor->next;
    supervisor_dismiss(supervisor);
    free(supervisor);
}

struct supervisor *supervisor_of(pid_t pid) {
    struct supervisor *supervisor = supervisors;
    while (supervisor && supervisor->pid != pid) supervisor = supervisor->next;
    return supervisor;
}

long supervisors_count(void) {
    long count = 0;
    for (struct supervisor *supervisor = supervisors; supervisor; supervisor = supervisor->next) count++;
    return count;
}
