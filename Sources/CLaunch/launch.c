#include "launch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union launch_descriptors {
    char bytes[CMSG_SPACE(LAUNCH_FD_COUNT * sizeof(int))];
    struct cmsghdr header;
};

int launch_send_run(int socket, const int descriptors[LAUNCH_FD_COUNT]) {
    uint8_t version = LAUNCH_VERSION;
    struct iovec bytes = {&version, 1};
    union launch_descriptors control;
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    memset(&control, 0, sizeof control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(LAUNCH_FD_COUNT * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, LAUNCH_FD_COUNT * sizeof(int));
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

int launch_receive_run(int socket, int descriptors[LAUNCH_FD_COUNT]) {
    uint8_t version = 0;
    struct iovec bytes = {&version, 1};
    union launch_descriptors control;
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (count == 0) return 0;
    if (count < 0) return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS) return -1;
    size_t got = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(descriptors, CMSG_DATA(header), (got < LAUNCH_FD_COUNT ? got : LAUNCH_FD_COUNT) * sizeof(int));
    if (version == LAUNCH_VERSION && got == LAUNCH_FD_COUNT) return 1;
    for (size_t i = 0; i < got && i < LAUNCH_FD_COUNT; i++) close(descriptors[i]);
    return -1;
}

int launch_make_file(void) { return memfd_create("interrupt-run", MFD_CLOEXEC); }

int launch_make_sockets(int sockets[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets);
}
