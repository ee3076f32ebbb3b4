"""Whether a process that has trained a run is as good as new for the next one.

What a run may use up is put back: the state of the global generators, the GPU's memory and its
counters. What no run has any business to leave changed is only looked at: a setting of torch, a
signal's handler, a thread that goes on. A process that shows such a trace is not used again.
"""

from __future__ import annotations

import gc
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

from bench.run_folder import RunFolder
from bench.stopping import WATCH

_BACKENDS = torch.backends
# Where torch keeps how precisely float32 is computed, by library and operation. The older names
# (allow_tf32) write these too, but may not be read any more once somebody has written these.
_LIBRARIES = (_BACKENDS, _BACKENDS.cuda.matmul, _BACKENDS.cudnn, _BACKENDS.mkldnn)
_OPERATIONS = ("conv", "rnn", "matmul")
# Threads that sleep: the watch over the runner, and one that torch-fidelity's progress bars start.
_HARMLESS = {WATCH, "tqdm_monitor"}


def ended_well(folders: Sequence[Path]) -> bool:
    """Whether each of these runs was trained to an end that is a result: done, or diverged.

    Whatever else became of one (a failure, a stop, another runner) may have left its process ill:
    after an error of CUDA every further use of the GPU fails.
    """
    for path in folders:
        final, damage = RunFolder(path).final(path.name.rpartition("--")[2])
        if damage is not None or final is None or final["state"] not in ("done", "diverged"):
            return False
    return True


class Origin:
    """How this process stood before its first run. Touches no GPU."""

    def __init__(self) -> None:
        self._settings = _settings()
        self._torch, self._seed = torch.get_rng_state(), torch.initial_seed()
        # What a library draws from where it was given no generator of its own.
        self._numpy, self._python = numpy.random.get_state(), random.getstate()

    def restored(self) -> bool:
        """Put back what can be; returns whether this process is then as it was."""
        gc.collect()
        torch.set_rng_state(self._torch)
        numpy.random.set_state(self._numpy)
        random.setstate(self._python)
        try:
            if torch.cuda.is_initialized():
                self._restore_gpu()
            return _settings() == self._settings
        except RuntimeError:  # the GPU's, of something that was still under way
            return False

    def _restore_gpu(self) -> None:
        torch.cuda.synchronize()
        torch.cuda.manual_seed_all(self._seed)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _settings() -> dict[str, Any]:
    """What every run finds, and none may leave changed."""
    cudnn = _BACKENDS.cudnn
    return {
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        "precisions": list(_precisions()),
        "errors": numpy.geterr(),
        "handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "held back": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "going on": {one.ident for one in threading.enumerate() if one.name not in _HARMLESS},
    }


def _precisions() -> Iterator[str | None]:
    """What each place says; nothing is what it says at first of the full precision, and means it.

    Who sets TF32 by the older name and takes that back leaves the word.
    """
    for library in _LIBRARIES:
        for place in (library, *(getattr(library, name, None) for name in _OPERATIONS)):
            said = getattr(place, "fp32_precision", None)
            yield "none" if said == "ieee" else said
