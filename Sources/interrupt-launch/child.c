#include "child.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

// In assembly because a child on another stack cannot return from a function that its parent has called. The C library has
// this for the older of the two calls alone, and its wrappers write to errno.
#if defined __x86_64__

static long start(long number, long first, long second, long third, void body(void *), void *context) {
    register long fourth __asm__("r10") = 0;
    register long fifth __asm__("r8") = 0;
    register void (*entry)(void *) __asm__("r12") = body;
    register void *argument __asm__("r13") = context;
    __asm__ volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "mov %[argument], %%rdi\n\t"
        "call *%[entry]\n\t"
        "ud2\n"
        "1:"
        : "+a"(number)
        : "D"(first), "S"(second), "d"(third), "r"(fourth), "r"(fifth), [entry] "r"(entry), [argument] "r"(argument)
        : "rcx", "r11", "memory", "cc");
    return number;
}

__attribute__((disable_sanitizer_instrumentation)) long child_call(
    long number, long first, long second, long third, long fourth) {
    register long last __asm__("r10") = fourth;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(first), "S"(second), "d"(third), "r"(last)
                     : "rcx", "r11", "memory", "cc");
    return number;
}

#elif defined __aarch64__

static long start(long number, long first, long second, long third, void body(void *), void *context) {
    register long call __asm__("x8") = number;
    register long result __asm__("x0") = first;
    register long x1 __asm__("x1") = second;
    register long x2 __asm__("x2") = third;
    register long x3 __asm__("x3") = 0;
    register long x4 __asm__("x4") = 0;
    register void (*entry)(void *) __asm__("x20") = body;
    register void *argument __asm__("x21") = context;
    __asm__ volatile(
        "svc #0\n\t"
        "cbnz x0, 1f\n\t"
        "mov x0, %[argument]\n\t"
        "blr %[entry]\n\t"
        "brk #1\n"
        "1:"
        : "+r"(result)
        : "r"(call), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [entry] "r"(entry), [argument] "r"(argument)
        : "memory", "cc");
    return result;
}

__attribute__((disable_sanitizer_instrumentation)) long child_call(
    long number, long first, long second, long third, long fourth) {
    register long call __asm__("x8") = number;
    register long result __asm__("x0") = first;
    register long x1 __asm__("x1") = second;
    register long x2 __asm__("x2") = third;
    register long x3 __asm__("x3") = fourth;
    __asm__ volatile("svc #0" : "+r"(result) : "r"(call), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
    return result;
}

#else
#error "interrupt-launch starts children on x86-64 and 64-bit ARM"
#endif

pid_t child_start(int leaf, bool shares, void body(void *context), void *context, void *stack, int *process) {
    uint64_t flags = CLONE_PIDFD | (shares ? CLONE_VM : 0);
    long pid;
    if (leaf < 0) {
        // The older call where it is enough: container engines forbid clone3 to those without rights.
        long top = (long)stack + CHILD_STACK;
        pid = start(SYS_clone, (long)(flags | SIGCHLD), top, (long)process, body, context);
    } else {
        struct clone_args arguments = {
            .exit_signal = SIGCHLD, .flags = flags | CLONE_INTO_CGROUP, .pidfd = (uint64_t)(uintptr_t)process,
            .stack = (uint64_t)(uintptr_t)stack, .stack_size = CHILD_STACK, .cgroup = (uint64_t)leaf};
        pid = start(SYS_clone3, (long)&arguments, sizeof arguments, 0, body, context);
    }
    if (pid >= 0) return (pid_t)pid;
    *process = -1;  // the kernel may have written the number of one that it took back
    errno = (int)-pid;
    return -1;
}
