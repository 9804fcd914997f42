// What a worker and interrupt-launch say to each other. Both are of one build, so the numbers may change with it.
//
// The worker starts `interrupt-launch MOUNT BASE FILES` with a socket of packets as its standard input. MOUNT is where the
// cgroup file system is, BASE the cgroup below which each run gets a leaf; both are "-" where there are to be none. FILES is
// how many descriptors a job may have open, 0 for as many as the worker. The first packet back is LAUNCH_READY. Each
// packet of the worker on that socket starts one run, see launch_send_run(). All else that concerns the run is said on the
// run's own socket.
#ifndef LAUNCH_H
#define LAUNCH_H

#include <stddef.h>
#include <stdint.h>

enum { LAUNCH_VERSION = 2 };

// One byte from the worker, on a run's socket. Closing the socket is LAUNCH_KILL.
enum launch_request {
    LAUNCH_TERMINATE = 1,  // SIGTERM and SIGCONT for the whole tree but its leader, which only goes on: the worker signals it
    LAUNCH_KILL,           // SIGKILL for the whole tree, again and again until it is empty
    LAUNCH_FREEZE,         // no process of the tree runs any more
    LAUNCH_THAW,           // they go on
    LAUNCH_TERMINATE_ALL,  // SIGTERM and SIGCONT for the leader, too
    LAUNCH_FENCE,          // the tree is killed at another instant than was said before: a launch_fence
};

// The request with an instant, in milliseconds of CLOCK_BOOTTIME: it goes on while the machine is suspended, and nobody
// sets it.
struct launch_fence {
    uint8_t request;
    uint64_t instant;
};

enum launch_event_kind {
    LAUNCH_READY = 1,    // first: whether there are cgroups (1 or 0); second: else why not, an error number; third:
                         // whether the kernel lists children; fourth: launch_limit bits
    LAUNCH_STARTED,      // first: the leader's pid; second: that of its supervisor, 0 in a cgroup. With the leader's pidfd
    LAUNCH_FAILED,       // first: a launch_step; second: an error number. The last packet
    LAUNCH_FROZEN,       // first: an error number, 0 when the tree stands still
    LAUNCH_THAWED,       // first: an error number
    LAUNCH_EXITED,       // the leader ended. first: si_code; second: si_status; third: kills for want of memory, -1
                         // unknown; fourth: launch_exit bits. With LAUNCH_EXIT_EMPTY it is the last packet
    LAUNCH_EMPTY,        // no process of the tree is left. The last packet
    LAUNCH_LOST,         // the same, and nobody knows how the leader ended: its supervisor was killed. The last packet
};

// What is known besides of a leader that has ended, bits: nothing of the tree is left; its fence was reached before.
enum launch_exit { LAUNCH_EXIT_EMPTY = 1, LAUNCH_EXIT_FENCED = 2 };

// What the kernel limits in a leaf, bits.
enum launch_limit { LAUNCH_LIMIT_MEMORY = 1, LAUNCH_LIMIT_PROCESSES = 2 };

enum launch_step {
    LAUNCH_STEP_SPEC = 1, LAUNCH_STEP_CGROUP, LAUNCH_STEP_FORK, LAUNCH_STEP_DIRECTORY, LAUNCH_STEP_EXEC,
    LAUNCH_STEP_FENCE,  // it would have been killed by now
};

struct launch_event {
    int32_t kind, first, second, third, fourth;
};

// How a text begins that says what to run. After it come strings, each with its NUL: the program's path, the
// directory or "", the name of the leaf, the arguments, the variables, and for each setting of the leaf its file and
// its value.
struct launch_spec {
    uint32_t version, argument_count, variable_count, setting_count;
    uint64_t fence;  // when the tree is killed, as in launch_fence; 0 for never
};

// The descriptors that start a run, in this order. The last is there only for what is too long for a packet: a file that
// holds it.
enum { LAUNCH_CONTROL_FD, LAUNCH_INPUT_FD, LAUNCH_OUTPUT_FD, LAUNCH_ERROR_FD, LAUNCH_SPEC_FD, LAUNCH_FD_COUNT };

enum { LAUNCH_LONGEST_PACKET = 65536, LAUNCH_NO_RUN = -2 };

// Sends one packet that starts a run; `flags` are those of send(2). Returns 0 or an error number.
int launch_send_run(int socket, const void *spec, size_t size, const int descriptors[LAUNCH_SPEC_FD], int flags);

// Passes on such a packet as it was received. Returns 0 or an error number.
int launch_pass_run(int socket, const void *spec, size_t size, const int descriptors[LAUNCH_FD_COUNT]);

// Receives such a packet into `spec`. Returns the spec's size, 0 at the end of the socket, -1 for nothing now, LAUNCH_NO_RUN
// for a packet that is no use, which it has answered if that could be. A spec that came in a file has size 1, and its
// descriptor is not -1.
ptrdiff_t launch_receive_run(int socket, void *spec, int descriptors[LAUNCH_FD_COUNT]);

// Sends an event, with a descriptor unless that is -1. A worker that has gone is no error.
void launch_send_event(int socket, const struct launch_event *event, int descriptor);

// Receives an event, without waiting; `descriptor` is -1 if none came with it. Returns as recv() does.
ptrdiff_t launch_receive_event(int socket, struct launch_event *event, int *descriptor);

// Sends a signal to the process of a pidfd. Returns 0 or -1 with errno.
int launch_signal(int pidfd, int signal);

// Sends SIGKILL to the process group that the process of a pidfd leads; before Linux 6.9 to that process alone. Returns 0
// or -1 with errno.
int launch_kill_group(int pidfd);

// Milliseconds of CLOCK_BOOTTIME.
uint64_t launch_boot_time(void);

// Opens a pidfd. Returns it, or -1 with errno.
int launch_open_process(int pid);

// Whether systemd has marked a directory of the cgroup file system as given away with all that is below it.
int launch_is_delegated(const char *directory);

// A pair of packet sockets, not inherited. Returns 0 or -1 with errno.
int launch_make_sockets(int sockets[2]);

#endif
