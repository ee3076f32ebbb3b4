"""Why a run failed, in a sentence for its user."""

from __future__ import annotations

from pathlib import Path

import torch

from bench.evaluate import EvaluateError
from bench.files import FileError
from bench.resume import ResumeRefused
from bench.unwritable import unwritable
from wgan.components import ConfigError
from wgan.data import DataError

_GPU_FULL = ("CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def explain(error: Exception, folder: Path) -> tuple[str, bool]:
    """Why a run failed, in a sentence, and whether that says all (no traceback is needed).

    Args:
        folder: the run's.
    """
    text = str(error)
    if isinstance(error, EvaluateError | ConfigError | DataError | FileError | ResumeRefused):
        return text, True
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "out of memory; take a smaller batch, a smaller network or fewer slots", False
    if isinstance(error, torch.OutOfMemoryError) or any(word in text for word in _GPU_FULL):
        advice = "take a smaller batch, a smaller network or fewer runs at once (--per-gpu)"
        return f"out of GPU memory; {advice}", False
    if isinstance(error, OSError) and (sentence := unwritable(error, folder)) is not None:
        return sentence, True
    return f"{type(error).__name__}: {text}" if text else type(error).__name__, False
