#include "events.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

int events = -1, children = -1;

void events_begin(void) {
    if (events >= 0) close(events);
    if (children >= 0) close(children);
    events = epoll_create1(EPOLL_CLOEXEC);
    // Whoever ends the worker politely means the worker, which says what is to become of the runs. Blocked and not ignored,
    // so that a child has nothing to set back.
    sigset_t blocked, told;
    sigfillset(&blocked);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigemptyset(&told);
    sigaddset(&told, SIGCHLD);
    children = signalfd(-1, &told, SFD_CLOEXEC | SFD_NONBLOCK);
    if (events < 0 || children < 0) abort();
    if (!events_watch(children, EPOLLIN, 0, CHILDREN)) abort();
}

bool events_watch(int descriptor, uint32_t what, uint64_t number, enum source source) {
    struct epoll_event event = {.events = what, .data.u64 = number << SOURCE_BITS | source};
    return epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void events_close(int descriptor) {
    epoll_ctl(events, EPOLL_CTL_DEL, descriptor, NULL);  // it may never have been watched
    close(descriptor);
}
