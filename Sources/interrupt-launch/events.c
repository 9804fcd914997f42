#include "events.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

int events = -1, children = -1;

static int fence = -1;
static uint64_t fence_instant;

void events_begin(void) {
    if (events >= 0) close(events);
    if (children >= 0) close(children);
    if (fence >= 0) close(fence);
    fence = -1;
    fence_instant = 0;
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

void events_set_fence(uint64_t instant) {
    if (instant == fence_instant) return;
    if (fence < 0) {
        fence = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (fence < 0 || !events_watch(fence, EPOLLIN, 0, FENCE)) abort();  // what it has ends with this process
    }
    struct itimerspec time = {.it_value = {(time_t)(instant / 1000), (long)(instant % 1000) * 1000000}};
    timerfd_settime(fence, TFD_TIMER_ABSTIME, &time, NULL);
    fence_instant = instant;
}

bool events_watch(int descriptor, uint32_t what, uint64_t number, enum source source) {
    struct epoll_event event = {.events = what, .data.u64 = number << SOURCE_BITS | source};
    return epoll_ctl(events, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void events_close(int descriptor) {
    epoll_ctl(events, EPOLL_CTL_DEL, descriptor, NULL);  // it may never have been watched
    close(descriptor);
}
