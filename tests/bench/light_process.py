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
