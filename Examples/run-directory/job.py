#!/usr/bin/env python3
"""A job in Python that says how far it is, and saves its place when it is asked to end:
    interruptctl run -- "$PWD/job.py"
"""
import json
import os
import signal
import sys
import time

DIRECTORY = os.environ["INTERRUPT_RUN_DIR"]
PAGES = int(os.environ.get("PAGES", "20"))


def tell(**message):
    # One line in one write: lines of several processes do not mix.
    with open(os.path.join(DIRECTORY, "tell"), "w") as pipe:
        pipe.write(json.dumps(message) + "\n")


def asked():
    with open(os.path.join(DIRECTORY, "interrupt")) as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file)


class Asked(Exception):
    pass


def on_terminate(number, frame):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise Asked


signal.signal(signal.SIGTERM, on_terminate)
page = 0
try:
    for page in range(1, PAGES + 1):
        tell(progress=page / PAGES, message=f"page {page}")
        time.sleep(0.2)
except Asked:
    tell(more_time="20s")  # before anything else, as long as there is time
    interrupt = asked()
    print(f"asked to end: {interrupt['reason']}, until {interrupt['deadline']}", flush=True)
    time.sleep(4)  # what it takes to save
    tell(checkpoint=f"page {page}")
    print(f"saved page {page}")
    sys.exit(0)
