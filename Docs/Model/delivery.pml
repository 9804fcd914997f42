/*
 * How an interrupt reaches its run: record, publish, tracked keys, poll, reconnect, acknowledge, confirm.
 *
 * One run, one worker, one Redis. README.md beside this file says which step is which code, what is left out, and how to
 * read a counterexample. `Scripts/model` runs all checks.
 *
 * Ways that can be switched off:  NO_PUSH NO_TRACKED NO_POLL NO_RECONNECT
 * Variants that must fail:        READ_BEFORE_SUBSCRIBE PUBLISH_ONLY NO_CAS LAST_WINS NO_SEEN NO_FIRST_READ NO_PROBE
 *                                 TRACK_ONCE FORGET_FAILED_READ MIRROR_REPLACES_FLAG
 *                                 END_AT_LEADER END_WITHOUT_CHECK
 */

#ifndef FAULTS
#define FAULTS 2        /* connections that break, each in one of four manners (process Faults) */
#endif
#ifndef LOST_REPLIES
#define LOST_REPLIES 1  /* replies that a requester never gets */
#endif

#if defined(NO_PUSH) && defined(NO_TRACKED)
#define NO_SUBSCRIPTION  /* nothing would come over it */
#endif

/* Who asks: a request id stands for one request. The last two are flags, set by a program that knows nothing of us. */
#define FIRST   1       /* stage 1 or 2 */
#define HARDER  2       /* stage 3 */
#define FLAG_2  3       /* stage 2 */
#define FLAG_3  4       /* stage 3 */
#define MIRROR  10      /* a flag that mirrors the record of stage s is MIRROR + s */

mtype = { queued, running, cancelling, completed, interrupted };  /* states of the run */
mtype = { accepted, known, nothing };                             /* what a script answers */

#define is_end(s)  (s == completed || s == interrupted)
#define ended      is_end(state)

/* ---- What Redis has. A restart keeps it. ---- */

mtype state = queued;       /* NS/run/<run> state */
byte run_stage = 0;         /* NS/run/<run> stage: the receipt */
bool confirmed = false;     /* NS/run/<run> confirmed_at_ms */
byte record_stage = 0;      /* NS/request/<run>: 0 is none */
bool seen[5];               /* its `seen` */
byte flag = 0;              /* NS:<job>: nothing, FLAG_2, FLAG_3, or a mirror */

/* ---- What a connection has at the server. A break of it loses that. ---- */

bool commands_up = true;
bool subscribed = false;
bool deaf = false;              /* the subscription looks alive and delivers nothing */
bool redirects = false;         /* CLIENT TRACKING is on and its target is the present subscription */
bool request_armed = false;     /* the tracking table has the key */
bool flag_armed = false;
/* On the way to the worker. In any order, which allows more than the connection does; the same message twice is one. */
bool pushed[4];                 /* a request record with this stage */
bool changed[2];                /* an invalidation of this key */
#define REQUEST 0
#define FLAG    1

/* ---- What the worker has ---- */

/* Set when the commands' connection breaks: whoever waits for a reply on it does not get it. */
bool reply_lost[3];
#define CLAIM   0
#define RECEIPT 1
#define READ    2
mtype = { none, present, old };
mtype subscription = none;      /* WatchBoard.subscriberID: of the present subscription, or of one that has gone */
bool is_set_up = false;         /* TrackedConnection: tracking was set up between these two connections */
bool watched = false;           /* the run is on the WatchBoard */
bool request_dirty = false;     /* WatchList.dirty */
bool flag_dirty = false;
byte worker_stage = 0;          /* InterruptScope.stage: what is applied */
chan receipts = [3] of { byte };
bool finished = false;          /* Receipts.finish(): nothing but the end follows */
mtype ending;                   /* RunEnding.state */
bool leader = false;            /* the run's processes: the first one, */
bool descendant = false;        /* and one that it has started */
bool ends_by_itself;

/* ---- What only the properties look at ---- */

byte on_record = 0;             /* the hardest stage that a script said is recorded */
byte flagged = 0;               /* the hardest stage of a foreign flag that was set while the run was live */

/* Scratch of the scripts; always 0 between them. */
mtype outcome = 0;

/* ======== Redis: one inline is one atomic step of the server ======== */

/* An end is final. Every write of a state is here. */
inline set_state(new) {
    assert(!ended);
    state = new
}

/* The server tells of a changed key once, if it is in the tracking table, and if the redirect still has a target. */
inline tell_change(armed, key) {
    if
    :: armed ->
        armed = false;
        if
        :: redirects && subscribed && !deaf -> changed[key] = true
        :: else
        fi
    :: else
    fi
}

/* PUBLISH: lost when nobody listens. */
inline publish(stage) {
#ifndef NO_PUSH
    if
    :: subscribed && !deaf -> pushed[stage] = true
    :: else
    fi
#else
    skip
#endif
}

/* ScriptPrelude.requests: merge */
inline merge(id, stage) {
    if
    :: record_stage == 0 -> record_stage = stage; outcome = accepted
#ifdef LAST_WINS
    :: record_stage > 0 -> assert(stage >= record_stage); record_stage = stage; outcome = accepted
#else
    :: record_stage > 0 && stage > record_stage -> record_stage = stage; outcome = accepted
#ifdef NO_SEEN
    :: record_stage > 0 && stage <= record_stage -> outcome = accepted
#else
    :: record_stage > 0 && stage <= record_stage -> outcome = (seen[id] -> known : accepted)
#endif
#endif
    fi;
    if
    :: outcome == accepted -> assert(!seen[id]); seen[id] = true  /* a request id counts once */
    :: else
    fi;
    on_record = (stage > on_record -> stage : on_record)
}

/* RedisScripts.interrupt */
inline interrupt_script(id, stage) {
    if
    :: ended
    :: state == queued ->
        merge(id, stage);
        set_state(interrupted);
        confirmed = true
    :: else ->
#ifdef PUBLISH_ONLY
        on_record = (stage > on_record -> stage : on_record);
        publish(stage)
#else
        merge(id, stage);
        tell_change(request_armed, REQUEST);
        publish(record_stage)
#ifdef FLAGS
        ;
        /* The mirror leaves a foreign flag alone that was not taken in yet. */
        if
#ifdef MIRROR_REPLACES_FLAG
        :: true ->
#else
        :: flag != FLAG_2 && flag != FLAG_3 ->
#endif
            flag = MIRROR + record_stage;
            tell_change(flag_armed, FLAG)
#ifndef MIRROR_REPLACES_FLAG
        :: else
#endif
        fi
#endif
#endif
    fi;
    outcome = 0
}

/* RedisScripts.importFlag: `stage` is that of the record afterwards, 0 when nothing is to be delivered. */
inline import_script(value, stage) {
    stage = 0;
    if
    :: flag != value
    :: ended
    :: else ->
        if
        :: value == FLAG_2 -> merge(FLAG_2, 2)
        :: value == FLAG_3 -> merge(FLAG_3, 3)
        :: else -> outcome = known  /* its own mirror */
        fi;
        if
        :: outcome != known -> flag = 0; tell_change(flag_armed, FLAG); tell_change(request_armed, REQUEST)
        :: else
        fi;
        stage = record_stage
    fi;
    outcome = 0
}

/* RedisScripts.start: the only claim. Asked again by the same worker it says the same. */
inline start_script(is_started, value) {
    if
    :: state == running -> is_started = true; value = flag
#ifdef NO_CAS
    :: state != running -> set_state(running); is_started = true; value = flag
#else
    :: state == queued -> set_state(running); is_started = true; value = flag
    :: else -> is_started = false
#endif
    fi
}

/* RedisScripts.acknowledge. What the worker has seen came from the record, so merging it changes nothing. */
inline acknowledge_script(stage) {
    if
    :: ended
    :: !ended && stage > run_stage ->
        run_stage = stage;
        if
        :: stage >= 2 && state == running -> set_state(cancelling)
        :: else
        fi
    :: else
    fi
}

/* RedisScripts.end. The same end twice is one end. */
inline end_script() {
    if
#ifndef END_WITHOUT_CHECK
    :: ended
#endif
    :: else ->
        set_state(ending);
        confirmed = (ending == interrupted);
        flag = 0
    fi;
    assert(!(confirmed && (leader || descendant)))
}

/* What goes with a connection. */
inline lose_commands() {
    commands_up = false;
    reply_lost[CLAIM] = true;
    reply_lost[RECEIPT] = true;
    reply_lost[READ] = true;
    redirects = false;
    request_armed = false;
    flag_armed = false
}

inline lose_subscription() {
    subscribed = false;
    subscription = (subscription == none -> none : old);
    deaf = false;
    redirects = false;      /* the server says so to nobody */
    pushed[1] = false; pushed[2] = false; pushed[3] = false;
    changed[REQUEST] = false; changed[FLAG] = false
}

/* ======== The worker ======== */

/* A command whose connection breaks before its reply has an unknown outcome. */
#define answered(who) (!reply_lost[who])

/* WatchBoard.deliver, InterruptScope.receive and Receipts.add, under one lock: the stage only rises. */
inline deliver(stage) {
    if
    :: watched && stage > worker_stage -> worker_stage = stage; receipts ! stage
    :: else
    fi
}

/* WatchList.reconnected */
inline all_dirty() {
#ifndef NO_RECONNECT
    request_dirty = watched;
#ifdef FLAGS
    flag_dirty = watched
#endif
#else
    skip
#endif
}

/* Worker+Queue, Worker+Run, ProcessExecution: claim, watch, spawn, wait until nothing is left. */
active proctype Worker() {
    bool is_started;
    byte value;
    byte stage;

    if
    :: ends_by_itself = true
    :: ends_by_itself = false
    fi;

claim:
    skip;
    d_step { commands_up -> reply_lost[CLAIM] = false; start_script(is_started, value) }
    if
    :: answered(CLAIM)
    :: else -> goto claim  /* unknown whether it was claimed: asking again is safe */
    fi;
    if
    :: !is_started -> goto over
    :: else
    fi;

#ifdef FLAGS
    /* RedisTransport.importFlags: one attempt; what fails is found by the first read. */
    if
    :: value != 0 ->
        d_step { commands_up -> reply_lost[CLAIM] = false; import_script(value, stage) }
        if
        :: answered(CLAIM)
        :: else -> stage = 0
        fi
    :: else
    fi;
#endif

    /* Worker+Run.execute: what was pending, then WatchList.watch, which has the keys read once, then the spawn. One
       step: an interrupt in between is what RunTeardown does as soon as there is a process (isTerminateDue). */
    atomic {
        watched = true;
        deliver(stage);
        stage = 0;
        value = 0;
#ifndef NO_FIRST_READ
        request_dirty = true;
#ifdef FLAGS
        flag_dirty = true;
#endif
#endif
        if
        :: worker_stage > 0 -> ending = interrupted; goto unwatch  /* it does not start, whatever the stage */
        :: else -> leader = true; descendant = true
        fi
    }
end_running:
    do
    :: atomic { leader && (worker_stage >= 2 || ends_by_itself) ->
        leader = false;
        ending = (worker_stage >= 2 -> interrupted : completed) }
    :: descendant && (worker_stage >= 2 || (ends_by_itself && !leader)) -> descendant = false
#ifdef END_AT_LEADER
    :: !leader -> break
#else
    :: !leader && !descendant -> break
#endif
    od;
unwatch:
    /* RedisTransport.unwatch, Receipts.finish */
    atomic { watched = false; request_dirty = false; flag_dirty = false; finished = true }
over:
    skip
}

/* Receipts and PersistentRecorder: in order, each until it is there, then the end. */
active proctype Receipts() {
    byte stage;
end_idle:
    do
    :: receipts ? stage ->
        do
        :: d_step { commands_up -> reply_lost[RECEIPT] = false; acknowledge_script(stage) }
            if
            :: answered(RECEIPT) -> break
            :: else
            fi
        od
    :: finished && empty(receipts) -> break
    od;
    do
    :: d_step { commands_up -> reply_lost[RECEIPT] = false; end_script() }
        if
        :: answered(RECEIPT) -> break
        :: else
        fi
    od
}

/* RedisSubscriber, RedisClient and Reconnector: subscribe first, then read. */
active proctype Connections() {
end_idle:
    do
    :: !commands_up ->
        d_step { commands_up = true; is_set_up = false }
        d_step { all_dirty() }  /* WatchBoard.commandsReconnected */
#ifndef NO_SUBSCRIPTION
    :: !subscribed ->
#ifdef READ_BEFORE_SUBSCRIBE
        d_step { all_dirty() }
        d_step { subscribed = true; subscription = present; is_set_up = false }
#else
        subscribed = true;
        /* .connected */
        d_step {
            subscription = (subscribed -> present : old);
#ifndef TRACK_ONCE
            is_set_up = false;
#endif
            all_dirty()
        }
#endif
#ifndef NO_PROBE
    /* RedisInterruptChecker.probe: its own message does not come back. */
    :: d_step { deaf -> lose_subscription() }
#endif
#endif
    od
}

/* WatchBoard.receive: what arrives on the subscription. */
active proctype Subscription() {
end_idle:
    do
    :: d_step { pushed[1] -> pushed[1] = false; deliver(1) }
    :: d_step { pushed[2] -> pushed[2] = false; deliver(2) }
    :: d_step { pushed[3] -> pushed[3] = false; deliver(3) }
    :: d_step { changed[REQUEST] -> changed[REQUEST] = false; request_dirty = watched }
    :: d_step { changed[FLAG] -> changed[FLAG] = false; flag_dirty = watched }
    od
}

/*
 * RedisInterruptChecker.perform: track(), once for each pair of connections, then CLIENT CACHING YES and MGET, which reads
 * and arms. One step here: what breaks in between is as if it had broken before or after.
 */
inline read_keys(of_request, of_flag) {
    reads_request = of_request;
    reads_flag = of_flag;
    request_dirty = false;
    flag_dirty = false;
    reply_lost[READ] = false;
#ifndef NO_TRACKED
    if
    :: subscription != none && !is_set_up ->
        request_armed = false;
        flag_armed = false;
        /* The server refuses a redirect to a connection that has gone. */
        redirects = (subscribed && subscription == present);
        is_set_up = redirects
    :: else
    fi;
    request_armed = request_armed || (is_set_up && reads_request);
    flag_armed = flag_armed || (is_set_up && reads_flag);
#endif
    request = (reads_request -> record_stage : last_request);
    value = (reads_flag -> flag : last_value)
}

/* RedisInterruptChecker.readWhenDue and WatchList.step: one read of what is dirty, or of everything at a poll. */
active proctype Reader() {
    bool reads_request, reads_flag;     /* WatchList.Read */
    byte request, value;                /* what MGET answered */
    byte last_request, last_value;      /* WatchList.Entry.lastValue */
    byte stage;
end_idle:
    do
    :: d_step { commands_up && (request_dirty || flag_dirty) -> read_keys(request_dirty, flag_dirty) }
        goto reply
#ifndef NO_POLL
    /* A poll that would find nothing new changes nothing, and is left out. */
    :: d_step { commands_up && watched && (record_stage != last_request || flag != last_value) -> read_keys(true, true) }
        goto reply
#endif
    od;

reply:
    if
    :: atomic { answered(READ) ->
        /* consider(): a value counts when it is new. */
        if
        :: request != last_request -> last_request = request; deliver(request)
        :: else
        fi;
        request = 0; reads_request = false; reads_flag = false;
        if
        :: value != last_value && value != 0 -> last_value = value; value = 0; goto import
        :: else -> last_value = value; value = 0; goto end_idle
        fi }
    /* WatchList.readFailed: the same keys are due again. */
    :: atomic { !answered(READ) ->
#ifndef FORGET_FAILED_READ
        request_dirty = watched && (request_dirty || reads_request);
        flag_dirty = watched && (flag_dirty || reads_flag);
#endif
        request = 0; value = 0; reads_request = false; reads_flag = false;
        goto end_idle }
    fi;

import:
    atomic { commands_up -> reply_lost[READ] = false; import_script(last_value, stage) }
    if
    :: atomic { answered(READ) -> deliver(stage); stage = 0 }
    :: atomic { !answered(READ) -> last_value = 0; stage = 0 }  /* forgetValue */
    fi;
    goto end_idle
}

/* ======== Those who ask ======== */

/* interruptctl: asks until it was told, always with the same id, and waits until the run has ended. */
active proctype Requester() {
    byte first;
    byte lost_replies = LOST_REPLIES;
    bool is_told;

    if
    :: first = 1
    :: first = 2
    fi;
    do
    :: d_step { interrupt_script(FIRST, first) }
        if
        :: break
        :: lost_replies > 0 -> lost_replies--  /* unknown: the same id again */
        fi
    od;
    if
    :: do
        :: d_step { interrupt_script(HARDER, 3) }
            if
            :: break
            :: lost_replies > 0 -> lost_replies--
            fi
        od;
        /* A hurried repetition of the first request changes nothing. */
        if
        :: d_step { interrupt_script(FIRST, first) }
        :: skip
        fi;
        ended
    :: first == 2 -> ended
    :: first == 1
    fi
}

#ifdef FLAGS
/* Anyone, from any language: SET NS:<job>. It may come at any time, or never. */
active proctype Stranger() {
    if
    :: d_step { !ended -> flag = FLAG_2; flagged = 2; tell_change(flag_armed, FLAG) }
    :: skip
    fi;
    if
    :: d_step { !ended -> flag = FLAG_3; flagged = 3; tell_change(flag_armed, FLAG) }
    :: skip
    fi
}
#endif

/* ======== What goes wrong ======== */

active proctype Faults() {
    byte left = FAULTS;
end_idle:
    do
    :: d_step { left > 0 && commands_up -> left--; lose_commands() }
    :: d_step { left > 0 && subscribed -> left--; lose_subscription() }
    :: d_step { left > 0 && commands_up && subscribed -> left--; lose_commands(); lose_subscription() }  /* a restart, too */
    :: d_step { left > 0 && subscribed && !deaf -> left--; deaf = true }
    od
}

/* ======== Properties: see README.md. Besides: the assertions above, and that nobody waits for ever. ======== */

/* No recorded interrupt is lost: its stage is applied, or the run has ended. */
ltl recorded_is_applied {
    [] ((on_record >= 1 -> <> (worker_stage >= 1 || ended)) &&
        (on_record >= 2 -> <> (worker_stage >= 2 || ended)) &&
        (on_record >= 3 -> <> (worker_stage >= 3 || ended))) }
/* Nor is a flag. */
ltl flag_is_applied {
    [] ((flagged >= 2 -> <> (worker_stage >= 2 || ended)) && (flagged >= 3 -> <> (worker_stage >= 3 || ended))) }
/* What was applied goes on record before the end does. */
ltl applied_is_acknowledged { [] ((worker_stage >= 2) -> <> (ended && run_stage == worker_stage)) }
/* A confirmed run has no living tree, and gets none. */
ltl confirmed_is_dead { [] (confirmed -> [] (!leader && !descendant)) }
/* A stage is what somebody asked for, and no receipt is ahead of it. */
ltl nothing_is_invented { [] (run_stage <= worker_stage && (worker_stage <= on_record)) }
