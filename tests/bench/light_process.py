"""What a process of a run does in tests that look at processes alone: it imports nothing heavy."""

import json
import os
import signal
import time


def serve(pipe, terms, modules):
    """Wait for a folder, and write there what this process sees."""
    seen = {
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "pid": os.getpid(),
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        pipe.send("loaded")
        (folder,) = pipe.recv()
    except (EOFError, OSError):
        return
    (folder / "seen.json").write_text(json.dumps(seen))


def serve_slowly(pipe, terms, modules):
    """The same, after a while of loading."""
    time.sleep(1.0)
    serve(pipe, terms, modules)


def nothing(folders, terms):
    """A run of no work at all: what is left is what its process costs."""


def serve_turns(pipe, terms, modules):
    """Turn after turn until nobody is there; each run's name tells how its process takes it.

    "ill" ends the process, "slow" is told to stop in its midst, "late" has ended when it is.
    """
    word = "loaded"
    while True:
        try:
            pipe.send(word)
            (folder,) = pipe.recv()
        except (EOFError, OSError):
            return
        (folder / "seen.json").write_text(json.dumps({"pid": os.getpid()}))
        if folder.name == "ill":
            return
        while folder.name == "slow" and signal.SIGTERM not in signal.sigpending():
            time.sleep(0.01)
        word = "served"
