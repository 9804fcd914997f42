#include "launch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

union launch_descriptors {
    char bytes[CMSG_SPACE(LAUNCH_FD_COUNT * sizeof(int))];
    struct cmsghdr header;
};

// A file in memory with these bytes. Returns a descriptor, or -1 with errno.
static int make_file(const char *bytes, size_t size) {
    int file = memfd_create("interrupt-run", MFD_CLOEXEC);
    for (size_t done = 0; file >= 0 && done < size;) {
        ssize_t count = write(file, bytes + done, size - done);
        if (count < 0 && errno != EINTR) {
            int error = errno;
            close(file);
            errno = error;
            return -1;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    return file;
}

static int send_packet(int socket, const void *bytes, size_t size, const int *descriptors, size_t count, int flags) {
    struct iovec part = {(void *)bytes, size};
    union launch_descriptors control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    int error = 0;
    while (sendmsg(socket, &message, MSG_NOSIGNAL | flags) < 0 && (error = errno) == EINTR) error = 0;
    return error;
}

int launch_send_run(int socket, const void *spec, size_t size, const int descriptors[LAUNCH_SPEC_FD], int flags) {
    if (size <= LAUNCH_LONGEST_PACKET) return send_packet(socket, spec, size, descriptors, LAUNCH_SPEC_FD, flags);
    int all[LAUNCH_FD_COUNT];
    memcpy(all, descriptors, LAUNCH_SPEC_FD * sizeof(int));
    all[LAUNCH_SPEC_FD] = make_file(spec, size);
    if (all[LAUNCH_SPEC_FD] < 0) return errno;
    int error = send_packet(socket, spec, 1, all, LAUNCH_FD_COUNT, flags);
    close(all[LAUNCH_SPEC_FD]);
    return error;
}

int launch_pass_run(int socket, const void *spec, size_t size, const int descriptors[LAUNCH_FD_COUNT]) {
    size_t count = descriptors[LAUNCH_SPEC_FD] < 0 ? LAUNCH_SPEC_FD : LAUNCH_FD_COUNT;
    return send_packet(socket, spec, size, descriptors, count, MSG_DONTWAIT);
}

ptrdiff_t launch_receive_run(int socket, void *spec, int descriptors[LAUNCH_FD_COUNT]) {
    struct iovec bytes = {spec, LAUNCH_LONGEST_PACKET};
    union launch_descriptors control;
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes,
        .msg_controllen = CMSG_LEN(LAUNCH_FD_COUNT * sizeof(int))};  // what is left over would hold one more
    ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size <= 0) return size;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    size_t count = 0;
    descriptors[LAUNCH_SPEC_FD] = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
    }
    if (count >= LAUNCH_SPEC_FD && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) return size;
    // Why, where there is no descriptor left for the others.
    struct launch_event event = {LAUNCH_FAILED, LAUNCH_STEP_SPEC, message.msg_flags & MSG_CTRUNC ? EMFILE : EINVAL};
    if (count > LAUNCH_CONTROL_FD) launch_send_event(descriptors[LAUNCH_CONTROL_FD], &event, -1);
    for (size_t i = 0; i < count; i++) close(descriptors[i]);
    return LAUNCH_NO_RUN;
}

void launch_send_event(int socket, const struct launch_event *event, int descriptor) {
    struct iovec bytes = {(void *)event, sizeof *event};
    union launch_descriptors control;
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    if (descriptor >= 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof descriptor);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof descriptor);
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    if (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 || descriptor < 0) return;
    // Too many are on their way. The worker can do without it.
    message.msg_control = NULL;
    message.msg_controllen = 0;
    sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

ptrdiff_t launch_receive_event(int socket, struct launch_event *event, int *descriptor) {
    struct iovec bytes = {event, sizeof *event};
    union launch_descriptors control;
    struct msghdr message = {
        .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control.bytes,
        .msg_controllen = CMSG_LEN(sizeof *descriptor)};
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *header = count > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *descriptor = -1;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    return count;
}

// By number: glibc has names for these two only since 2.36.
int launch_signal(int pidfd, int signal) { return (int)syscall(424, pidfd, signal, NULL, 0); }

int launch_kill_group(int pidfd) {
    // PIDFD_SIGNAL_PROCESS_GROUP, since Linux 6.9.
    return syscall(424, pidfd, SIGKILL, NULL, 4) == 0 ? 0 : launch_signal(pidfd, SIGKILL);
}

uint64_t launch_boot_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int launch_open_process(int pid) { return (int)syscall(434, pid, 0); }

int launch_make_sockets(int sockets[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets); }

int launch_is_delegated(const char *directory) {
    char value[8];
    return getxattr(directory, "user.delegate", value, sizeof value) == 1
        || getxattr(directory, "trusted.delegate", value, sizeof value) == 1;
}
