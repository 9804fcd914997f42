// The C library's epoll, which Swift's own module of it leaves out.
#include <sys/epoll.h>
