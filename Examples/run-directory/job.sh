#!/bin/bash
# A job in shell that says how far it is, and saves its place when it is asked to end:
#   interruptctl run -- "$PWD/job.sh"
set -u

tell() { printf '%s\n' "$1" > "$INTERRUPT_RUN_DIR/tell"; }
asked() { sed -n "s/^$1=//p" "$INTERRUPT_RUN_DIR/interrupt"; }

leave() {
    trap '' TERM # for what it takes to save, too
    tell '{"more_time": "20s"}' # before anything else, as long as there is time
    echo "asked to end: $(asked reason), until $(asked deadline)"
    sleep 4 # what it takes to save
    tell "{\"checkpoint\": \"page $page\"}"
    echo "saved page $page"
    exit 0
}
trap leave TERM

for page in $(seq 1 "${PAGES:-20}"); do
    tell "{\"progress\": $(printf '%d.%02d' $((page * 100 / ${PAGES:-20} / 100)) $((page * 100 / ${PAGES:-20} % 100))), \"message\": \"page $page\"}"
    # In the background, so that the shell hears the signal while it waits.
    sleep 0.2 &
    wait $!
done
