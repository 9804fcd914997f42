/*
 * Leases: heartbeat, fence, silence, take-over, retry. What goes wrong is a worker that is partitioned, stopped or killed.
 *
 * One job with one retry; worker 1, whose guard has a fence of its own; worker 2, which observes it and takes over. README.md
 * beside this file says which step is which code, what is left out, and how to read a counterexample.
 *
 * Time is an order, not a measure. A counter that was sent with a clock reading is followed, FENCE ticks later, by the fence,
 * and SILENCE ticks after it was first read by silence. The margin between them (0.8 and 1.1 of the lease) is the one tick
 * that the guard has to act in. All clocks tick together; nothing but the fence and the reads has to keep step with them.
 *
 * Variants that must fail: NO_FENCE NO_GUARD_FENCE GUARD_STARTS_LATE CLAIM_IS_RENEWED FENCE_FROM_REPLY NO_CAS
 *     OBSERVER_IGNORES_GAPS LOSE_UNVERIFIED RETRY_IGNORES_REQUEST
 *     LIST_WITHOUT_SNAPSHOT TAKE_OVER_UNLEASED
 * Limits, which fail, too: GUARD_DIES_TOO MACHINE_FREEZES
 */

#define FENCE   2       /* ticks after the heartbeat was sent: L - L/5 */
#define SILENCE 3       /* ticks between the first and the last read of one counter: more than L + L/10 */

#ifndef FAULTS
#define FAULTS 1
#endif

mtype = { none, queued, running, lost, failed, interrupted, completed };
#define is_live(s) (s == queued || s == running)

/* ---- What Redis has ---- */

mtype state[2] = none;  /* of attempt 1 and of attempt 2, which is none until it is queued */
byte holder[2];         /* the instance that claimed it: 1, 2 (worker 1 after its restart), 3 (worker 2) */
byte request[2];        /* the stage on record */
byte instance = 1;      /* of worker 1 */
#ifdef UNLEASED
#define is_leased false
#else
#define is_leased true  /* submitted with --retries 1 */
#endif

/* The counter of worker 1, as the observer sees it: how far it is from the value that was read last. */
#define BEHIND 0
#define SAME   1
#define AHEAD  2
#define FAR    3
byte counter = FAR;     /* FAR: by more than one, or of another instance */
bool heartbeat_is_last; /* the last write: a restart may lose it (appendfsync everysec) */

/* ---- Worker 1 and its guard ---- */

bool is_alive = true;
bool is_stopped = false;    /* SIGSTOP: it does nothing, its guard does */
bool guard_is_up = true;
bool link_1 = true;         /* worker 1 to Redis */
byte fence = 0;             /* ticks until worker 1 is to kill its leased runs; 0 is now, or none yet */
byte guard_fence = 0;       /* the same for the guard */
byte claim_fence = 0;       /* the worker's fence when it sent `start`: no later heartbeat makes it later */
byte claimed = 2;           /* the attempt that worker 1 has, 2 is none */
bool tree[2];               /* of each attempt, on whichever machine */
mtype result[2] = none;     /* how its tree ended */

mtype = { idle, sent, answered, entering, asking, checked, spawned };
mtype beat = idle;          /* idle -> sent -> answered -> idle */
byte since_sent;
byte held_when_sent;        /* what worker 1 had when it sent the heartbeat */
bool is_listed;             /* whether that was still its own when the heartbeat ran */
mtype start = idle;         /* idle -> asking -> answered -> checked -> spawned */
bool has_entered = true;
bool left_behind = false;   /* a restarted worker has not yet ended what was left */

/* ---- Worker 2, the observer ---- */

bool link_2 = true;
bool has_read = false;      /* in this tick */
byte unchanged = 0;         /* ticks over which the counter was read unchanged */
bool is_silent = false;     /* decided, over the present connection */
byte runs_2 = 2;            /* the attempt that it has */

/* ---- What only the properties look at ---- */

byte left = FAULTS;
bool frozen = false;
#define job_is_over (state[0] != none && !is_live(state[0]) && !is_live(state[1]))

/* ======== Redis: one inline is one atomic step ======== */

/* An end is final, and is no end while a process is left. */
inline set_end(which, new) {
    assert(is_live(state[which]));
    assert(!tree[which]);
    state[which] = new;
    holder[which] = 0;
    heartbeat_is_last = false
}

/* At the end of `end`, `take_over` and `lose`: a leased run with attempts left, and with no request on record. */
inline retry(which) {
    if
#ifdef RETRY_IGNORES_REQUEST
    :: which == 0 && is_leased ->
#else
    :: which == 0 && is_leased && request[0] == 0 ->
#endif
        assert(request[0] == 0);    /* an interrupted or drained run is never retried */
        assert(state[1] == none);   /* and none twice */
        state[1] = queued
    :: else
    fi
}

inline end_script(which, by, new) {
    if
    :: is_live(state[which]) && holder[which] == by ->
        set_end(which, new);
        if
        :: new == failed || new == lost -> retry(which)
        :: else
        fi
    :: else     /* has ended, or is another's: nothing is written */
    fi
}

inline take_over_script(which) {
    if
#ifndef NO_CAS
    :: counter != SAME          /* heard of meanwhile, or another instance */
#endif
#ifndef TAKE_OVER_UNLEASED
    :: !is_leased
#endif
    :: state[which] != running
    :: holder[which] != instance
    :: else -> set_end(which, lost); retry(which)
    fi
}

/* RedisScripts.start: the only claim. */
inline start_script(which, by) {
    state[which] = running;
    holder[which] = by;
    heartbeat_is_last = false
}

/* HINCRBY */
inline count_heartbeat() {
    counter = (counter < FAR -> counter + 1 : FAR);
    heartbeat_is_last = true
}

/* ======== Worker 1: it does one thing after the other, and nothing while it is stopped ======== */

inline spawn(which) {
    assert(!tree[0] && !tree[1]);   /* no job runs twice at once */
    tree[which] = true
}

/* What is claimed and not spawned ends as lost, as what was fenced does. */
inline give_up(which) {
    result[which] = lost;
    start = spawned
}

#define works (is_alive && !is_stopped)
#define may_run(clock) (!is_leased || clock > 0)

active proctype Worker1() {
end:
    do
    /* -- Heartbeat: the clock is noted, then it is sent. -- */
    :: d_step { works && has_entered && beat == idle && link_1 -> beat = sent; since_sent = 0; held_when_sent = claimed }
    :: d_step { works && beat == answered ->
        beat = idle;
#ifdef FENCE_FROM_REPLY
        fence = FENCE;
#else
        fence = (since_sent < FENCE -> FENCE - since_sent : 0);
#endif
        /* The reply lists what it still holds: what it runs beyond that it kills. */
#ifdef LIST_WITHOUT_SNAPSHOT
        held_when_sent = claimed;
#endif
        if
        :: held_when_sent < 2 && held_when_sent == claimed && !is_listed && tree[claimed] ->
            assert(state[claimed] != running || holder[claimed] != instance);  /* nobody is killed without a cause */
            tree[claimed] = false;
            result[claimed] = lost
        :: else
        fi;
        held_when_sent = 2; is_listed = false; since_sent = 0 }
    /* The guard is told the deadline. It may be stopped before that. */
    :: d_step { works && guard_is_up && guard_fence < fence -> guard_fence = fence }

    /* -- Fence: the worker's own. -- */
#ifndef NO_FENCE
    :: d_step { works && is_leased && claimed < 2 && fence == 0 && tree[claimed] -> tree[claimed] = false; result[claimed] = lost }
#endif

    /* -- Claim, look at the clock, send the packet, spawn. -- */
    :: d_step { works && has_entered && !left_behind && start == idle && claimed == 2 && link_1 && state[0] == queued ->
        start_script(0, instance); claimed = 0; start = asking; claim_fence = fence }
    :: d_step { works && has_entered && !left_behind && start == idle && claimed == 2 && link_1 && state[1] == queued ->
        start_script(1, instance); claimed = 1; start = asking; claim_fence = fence }
    /* The reply was lost: asked again, it says the same, or that the run has gone. */
    :: d_step { works && start == entering && link_1 ->
        if
        :: state[claimed] == running && holder[claimed] == instance -> start = asking; claim_fence = fence
        :: else -> start = idle; claimed = 2
        fi }
    :: d_step { works && start == asking && link_1 ->
        if
#ifdef CLAIM_IS_RENEWED
        :: may_run(fence) -> start = checked; claim_fence = fence
#else
        :: may_run(claim_fence) -> start = checked
#endif
        :: else -> give_up(claimed)
        fi }
    :: d_step { works && start == checked && guard_is_up ->
        if
#ifdef GUARD_STARTS_LATE
        :: true -> spawn(claimed); start = spawned
#else
        /* The packet carries the instant, and the guard looks at its own clock. */
        :: may_run(claim_fence) -> spawn(claimed); start = spawned
        :: else -> give_up(claimed)
#endif
        fi }

    /* -- It ends: by itself, or because it was asked to (delivery.pml). -- */
    :: d_step { works && start == spawned && claimed < 2 && link_1 && request[claimed] >= 2 && tree[claimed] ->
        tree[claimed] = false; result[claimed] = interrupted }
    :: d_step { works && start == spawned && claimed < 2 && !tree[claimed] && result[claimed] != none && link_1 && has_entered ->
        end_script(claimed, instance, result[claimed]); result[claimed] = none; claimed = 2; start = idle; claim_fence = 0 }
    /* The guard has gone: the worker ends what it has. */
    :: d_step { works && !guard_is_up ->
        if
        :: claimed < 2 && start == spawned && tree[claimed] -> tree[claimed] = false; result[claimed] = lost
        :: else
        fi;
        guard_is_up = true; guard_fence = 0 }

    /* -- Another life under the same name: enter, end what is left, record it. -- */
    :: d_step { works && !has_entered && link_1 && beat == idle -> instance = 2;
        counter = FAR; has_entered = true }
    :: d_step { works && has_entered && left_behind && link_1 ->
        /* LeftBehind, LeftTree: verified to be gone, then `lose`. */
        if
#ifndef LOSE_UNVERIFIED
        :: holder[0] == 1 && tree[0] -> tree[0] = false
        :: holder[1] == 1 && tree[1] -> tree[1] = false
#endif
        :: else ->
            if
            :: holder[0] == 1 -> end_script(0, 1, lost)
            :: else
            fi;
            if
            :: holder[1] == 1 -> end_script(1, 1, lost)
            :: else
            fi;
            left_behind = false
        fi }
    od
}

/* The heartbeat travels: it may run at Redis, and its reply arrive, at any time. */
active proctype Network() {
end:
    do
    :: d_step { beat == sent && link_1 ->
        count_heartbeat();
        is_listed = (held_when_sent < 2 && state[held_when_sent % 2] == running && holder[held_when_sent % 2] == instance);
        beat = answered }
    od
}

/* interrupt-launch: a timer on CLOCK_BOOTTIME, and the end of the worker's socket. */
#define is_on_1(which) (tree[which] && holder[which] < 3)
#define guard_is_due (guard_is_up && (is_on_1(0) || is_on_1(1)) && (!is_alive || (is_leased && guard_fence == 0)))

active proctype Guard() {
end:
    do
#if !defined(NO_FENCE) && !defined(NO_GUARD_FENCE)
    :: d_step { guard_is_due && !frozen ->
#else
    :: d_step { guard_is_due && !is_alive && !frozen ->
#endif
        if
        :: is_on_1(0) -> tree[0] = false; result[0] = lost
        :: else -> tree[1] = false; result[1] = lost
        fi }
    /* A job ends by itself at any time, or never. */
    :: d_step { tree[0] && !frozen -> tree[0] = false; result[0] = failed }
    :: d_step { tree[1] && !frozen -> tree[1] = false; result[1] = failed }
    od
}

/* ======== Worker 2 ======== */

active proctype Worker2() {
end:
    do
    /* One read in each tick, of (instance, counter). */
    :: d_step { link_2 && !has_read ->
        has_read = true;
        if
        :: counter != SAME -> counter = SAME; unchanged = 0; is_silent = false
        :: counter == SAME && unchanged >= SILENCE -> is_silent = true
        :: else
        fi }
    /* take_over, on the connection of the reads */
    :: d_step { link_2 && is_silent -> is_silent = false;
        if
        :: state[0] == running && holder[0] < 3 -> take_over_script(0)
        :: state[1] == running && holder[1] < 3 -> take_over_script(1)
        :: else
        fi }
    /* It runs what is queued. Of itself nothing goes wrong here. */
    :: d_step { link_2 && runs_2 == 2 && state[0] == queued -> start_script(0, 3); runs_2 = 0; spawn(0) }
    :: d_step { link_2 && runs_2 == 2 && state[1] == queued -> start_script(1, 3); runs_2 = 1; spawn(1) }
    :: d_step { runs_2 < 2 && request[runs_2 % 2] >= 2 && tree[runs_2 % 2] -> tree[runs_2] = false; result[runs_2] = interrupted }
    :: d_step { link_2 && runs_2 < 2 && !tree[runs_2 % 2] -> end_script(runs_2, 3, result[runs_2]); result[runs_2] = none; runs_2 = 2 }
    od
}

/* interruptctl: interrupts the newest run of the job, once. */
active proctype Requester() {
    byte stage;
    if
    :: stage = 1
    :: stage = 2
    fi;
    d_step {
        if
        :: state[1] == queued -> request[1] = stage; state[1] = interrupted
        :: state[1] == running -> request[1] = stage
        :: state[1] == none && state[0] == queued -> request[0] = stage; state[0] = interrupted
        :: state[1] == none && state[0] == running -> request[0] = stage
        :: else
        fi;
        heartbeat_is_last = false
    }
}

/* ======== Time ======== */

/* Time does not pass a deadline: the guard kills within one tick of its fence, and a worker without a guard acts at once.
   The observer reads once a tick; a tick without a read is one of the faults. */
#ifdef NO_FENCE
#define nobody_is_late (guard_is_up || !works)
#else
#ifdef NO_GUARD_FENCE
#define nobody_is_late ((guard_is_up || !works) && !(guard_is_due && !is_alive) && \
    !(works && is_leased && claimed < 2 && fence == 0 && tree[claimed % 2]))
#else
#define nobody_is_late ((guard_is_up || !works) && (!guard_is_due || frozen))
#endif
#endif

active proctype Clock() {
end:
    do
    :: d_step { nobody_is_late && (has_read || !link_2 || left > 0) ->
        if
        :: has_read || !link_2
        :: else ->
            left--;
#ifndef OBSERVER_IGNORES_GAPS
            unchanged = 0; counter = FAR; is_silent = false;    /* a gap: it begins anew */
#endif
        fi;
        has_read = false;
        fence = (fence > 0 -> fence - 1 : 0);
        guard_fence = (guard_fence > 0 -> guard_fence - 1 : 0);
        claim_fence = (claim_fence > 0 -> claim_fence - 1 : 0);
        since_sent = (beat != idle && since_sent < FENCE -> since_sent + 1 : since_sent);
        unchanged = (counter < FAR && unchanged < SILENCE -> unchanged + 1 : (counter < FAR -> unchanged : 0))
    }
    od
}

/* ======== What goes wrong ======== */

inline break_1() {
    link_1 = false;
    beat = idle;
    held_when_sent = 2; is_listed = false; since_sent = 0;
    if
    :: start == asking -> start = entering      /* the outcome of the claim is unknown */
    :: else
    fi
}

inline break_2() {
    link_2 = false;
#ifndef OBSERVER_IGNORES_GAPS
    unchanged = 0;
    counter = FAR;
    is_silent = false
#endif
}

active proctype Faults() {
    state[0] = queued;
end:
    do
    :: d_step { left > 0 && link_1 -> left--; break_1() }
    :: d_step { !link_1 -> link_1 = true }
    :: d_step { left > 0 && link_2 -> left--; break_2() }
    :: d_step { !link_2 -> link_2 = true }
    /* Redis restarts, perhaps without the last heartbeat. */
    :: d_step { left > 0 && link_1 && link_2 -> left--;
        if
        :: heartbeat_is_last && counter > BEHIND && counter < FAR -> counter--
        :: true
        fi;
        heartbeat_is_last = false;
        break_1(); break_2() }
    :: d_step { left > 0 && works && guard_is_up -> left--; is_stopped = true }
    :: d_step { is_stopped -> is_stopped = false }
    :: d_step { left > 0 && is_alive && instance == 1 && guard_is_up -> left--;
        is_alive = false; is_stopped = false; break_1(); start = idle; claimed = 2; fence = 0 }
    :: d_step { !is_alive -> is_alive = true; has_entered = false; left_behind = true; link_1 = true; guard_fence = 0 }
    /* The guard is killed, and its worker works. */
    :: d_step { left > 0 && works && guard_is_up -> left--; guard_is_up = false }
#ifdef GUARD_DIES_TOO
    :: d_step { !guard_is_up && works -> is_stopped = true }
#endif
#ifdef MACHINE_FREEZES
    /* All of machine 1 stands still, its processes and its guard; then all goes on at once. */
    :: d_step { left > 0 && !frozen && works -> left--; frozen = true; is_stopped = true }
    :: d_step { frozen -> frozen = false }
#endif
    od
}

/* ======== Properties: see README.md. Besides: the assertions above. ======== */

ltl one_at_a_time { [] (!(tree[0] && tree[1])) }
ltl ended_is_dead { [] ((state[0] == lost || state[0] == failed || state[0] == interrupted) -> !tree[0]) }
ltl unleased_is_left_alone { [] (!is_leased -> state[1] == none) }
ltl end_is_final { [] ((state[0] == lost -> [] (state[0] == lost)) && (state[0] == interrupted -> [] (state[0] == interrupted))) }
ltl interrupted_is_not_retried { [] (request[0] > 0 && state[1] == none -> [] (state[1] == none)) }
