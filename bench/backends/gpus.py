"""Which GPUs there are, and what CUDA_VISIBLE_DEVICES must hold to give a process one of them.

`nvidia-smi -L` is asked, so that the process that starts runs never touches CUDA itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wgan.components import ConfigError

VISIBLE = "CUDA_VISIBLE_DEVICES"
ALL = "all"
_CARD = re.compile(r"^GPU (\d+): .*\(UUID: (GPU-[^)\s]+)\)")
_SLICE = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_KINDS = ("GPU-", "MIG-")
_WITHOUT = "leave --gpus out to train on cores"
_SECONDS = 60.0  # a driver that nobody keeps loaded takes its time


@dataclass(frozen=True)
class _Gpu:
    """A GPU that may be chosen by its number; `slices` are its MIG instances, where it is cut."""

    name: str  # what CUDA_VISIBLE_DEVICES takes
    slices: tuple[str, ...] = ()


def choose_gpus(asked: str, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES must hold for each GPU that is asked for.

    Numbers are nvidia-smi's, and handed on as UUIDs, which mean the same in every order of CUDA's.
    Where CUDA_VISIBLE_DEVICES is set, numbers count what it leaves, as they do in torch.

    Args:
        asked: "all", or numbers and UUIDs (GPU-..., MIG-...) with commas between.

    Raises:
        ConfigError: one is not there, is named twice or is cut into slices; says what there is.
    """
    there = _left(_cards(), environ.get(VISIBLE))
    if asked.strip() == ALL:
        return tuple(name for gpu in there for name in gpu.slices or (gpu.name,))
    chosen: dict[str, str] = {}
    for word in (word.strip() for word in asked.split(",")):
        name = _one(word, there, environ.get(VISIBLE))
        if name in chosen:
            same = f"{chosen[name]!r} and {word!r} are one GPU" if chosen[name] != word else word
            raise _wrong(f"{same}: name each once; --per-gpu sets how many runs it trains at once")
        chosen[name] = word
    return tuple(chosen)


def _one(word: str, there: Sequence[_Gpu], visible: str | None) -> str:
    if word.isdecimal():
        if int(word) >= len(there):
            raise _wrong(f"GPU {word} is not there; {_choice(there, visible)}")
        gpu = there[int(word)]
        if gpu.slices:
            raise _wrong(f"GPU {word} is cut into slices; name them: {', '.join(gpu.slices)}")
        return gpu.name
    names = [name for gpu in there for name in gpu.slices or (gpu.name,)]
    found = [name for name in names if word.startswith(_KINDS) and name.startswith(word)]
    if len(found) != 1:
        problem = "is not there" if not found else "may be " + " or ".join(found)
        raise _wrong(f"{word!r} {problem}; {_choice(there, visible)}")
    return found[0]


def _choice(there: Sequence[_Gpu], visible: str | None) -> str:
    """What may be asked for, in words."""
    numbers = ", ".join(str(number) for number in range(len(there)))
    left = f" ({VISIBLE}={visible} leaves {len(there)})" if visible is not None else ""
    names = ", ".join(name for gpu in there for name in gpu.slices or (gpu.name,))
    return f"there are {numbers}{left}, or by name {names}; or say all"


def _left(cards: Sequence[_Gpu], visible: str | None) -> list[_Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves: as CUDA reads it, up to the first wrong entry."""
    if visible is None:
        return list(cards)
    left: list[_Gpu] = []
    names = [name for card in cards for name in (card.name, *card.slices)]
    for entry in (word.strip() for word in visible.split(",")):
        known = entry.startswith(_KINDS) and any(name.startswith(entry) for name in names)
        if not known and not (entry.isdecimal() and int(entry) < len(cards)):
            break
        if _Gpu(entry) in left:
            raise _wrong(f"{VISIBLE}={visible!r} names one twice, of which CUDA makes none")
        left.append(_Gpu(entry))
    if not left:
        raise _wrong(f"{VISIBLE}={visible!r} leaves none; unset it, or {_WITHOUT}")
    return left


def _cards() -> list[_Gpu]:
    """Every GPU of this machine, by nvidia-smi's numbers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise _wrong(f"there is none: nvidia-smi is not on the PATH; {_WITHOUT}")
    try:
        answer = subprocess.run(  # noqa: S603 - a found program, fixed arguments
            [program, "-L"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise _wrong(f"nvidia-smi -L cannot be asked: {error}") from None
    cards: list[_Gpu] = []
    for line in answer.stdout.splitlines():
        card, part = _CARD.match(line), _SLICE.match(line)
        if card is not None:
            cards.append(_Gpu(card[2]))
        elif part is not None and cards:
            cards[-1] = _Gpu(cards[-1].name, (*cards[-1].slices, part[1]))
    if not cards:
        said = (answer.stdout + answer.stderr).strip().splitlines() or ["nothing"]
        raise _wrong(f"there is none that nvidia-smi -L knows; it said: {said[0]}; {_WITHOUT}")
    return cards


def _wrong(problem: str) -> ConfigError:
    return ConfigError(("gpus",), problem)
