// The C library's epoll and eventfd, which Swift's own module of it leaves out.
#include <sys/epoll.h>
#include <sys/eventfd.h>
