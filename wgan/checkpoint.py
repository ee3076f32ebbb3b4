"""Checkpoints: everything needed to go on bit for bit, in one checksummed file.

A file is one header line with the SHA-256 of the rest, and the rest as `torch.save` writes it. It
is read with `weights_only=True`: a checkpoint from elsewhere cannot run code.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch

from wgan.disk import sync_folder
from wgan.optimizers import set_learning_rate
from wgan.steps import CriticStep
from wgan.train import TrainState, Window

_MAGIC = b"wgan-bench checkpoint 1 sha256="
_COUNTERS = ("step", "critic_updates", "images_seen", "training_seconds", "begun")
_WINDOW_LISTS = ("generator_losses", "critic_gradients", "generator_gradients")
_PARTS = ("generator", "critic", "generator_optimizer", "critic_optimizer", "average")


class CheckpointError(ValueError):
    """A file that is no whole checkpoint of this training; says which and why."""


def save(path: Path, state: TrainState, extra: dict[str, Any]) -> None:
    """Write `state` and the JSON-able `extra` to `path`, all or nothing.

    The file is written under another name, synced, then renamed, and its folder synced.

    Raises:
        OSError: the disk is full or the folder cannot be written; an older file at `path` is
        untouched.
    """
    window = state.window
    content = {
        "counters": {name: getattr(state, name) for name in _COUNTERS},
        "parts": {name: part.state_dict() for name, part in _parts(state).items()},
        "streams": {purpose: rng.get_state() for purpose, rng in state.streams.items()},
        "window": {
            "critic": [tuple(step) for step in window.critic],
            **{name: list(getattr(window, name)) for name in _WINDOW_LISTS},
        },
        "extra": json.dumps(extra),
        "run_id": state.run_id,
    }
    buffer = io.BytesIO()
    torch.save(_compact(content), buffer)
    payload = buffer.getvalue()
    header = _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"

    path.parent.mkdir(exist_ok=True)  # not its parents: a run folder that was removed stays so
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(header + payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path, state: TrainState) -> dict[str, Any]:
    """Put the checkpoint at `path` into `state`; returns its `extra`.

    `state` is what `new_state` makes for the same configuration.

    Raises:
        CheckpointError: the file is torn, is no checkpoint, or is one of another training. `state`
        may then be half
            filled: make a new one.
    """
    content = _read(path, state.device)
    if not isinstance(content, dict) or content.get("run_id") != state.run_id:
        raise CheckpointError(f"{path}: a checkpoint of another training")
    try:
        parts = _parts(state)
        if set(content["parts"]) != set(parts):
            raise KeyError(f"parts {sorted(content['parts'])}")
        for name, part in parts.items():
            _load_part(part, content["parts"][name])
        if set(content["streams"]) != set(state.streams):
            raise KeyError(f"streams {sorted(content['streams'])}")
        for purpose, rng in state.streams.items():
            rng.set_state(content["streams"][purpose].cpu())
        for name in _COUNTERS:
            setattr(state, name, content["counters"][name])
        state.window = Window(
            [CriticStep(*step) for step in content["window"]["critic"]],
            # An older checkpoint has no gradients: the row is then of those to come.
            *(list(content["window"].get(name, ())) for name in _WINDOW_LISTS),
        )
        extra: dict[str, Any] = json.loads(content["extra"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path}: a checkpoint of another training: {what}") from error
    return extra


def _load_part(part: Any, content: dict[str, Any]) -> None:
    """Give a network or an optimizer what is kept of it; how it computes here is its own matter."""
    if not isinstance(part, torch.optim.Optimizer):
        part.load_state_dict(content)
        return
    own = [(group["lr"], _kernels(group)) for group in part.param_groups]
    part.load_state_dict(content)
    for group, (lr, kernels) in zip(part.param_groups, own, strict=True):
        kept, group["lr"] = float(group["lr"]), lr
        set_learning_rate(group, kept)
        for name in _kernels(group).keys() - kernels.keys():
            del group[name]
        group.update(kernels)


def _kernels(group: dict[str, Any]) -> dict[str, Any]:
    """The settings of a group of parameters that go with its device."""
    return {name: group[name] for name in ("capturable", "fused") if name in group}


def _parts(state: TrainState) -> dict[str, Any]:
    """What has a state dict: the parts that this training has."""
    held = {name: getattr(state, name) for name in _PARTS}
    return {name: part for name, part in held.items() if part is not None}


def _compact(value: Any) -> Any:
    """`value` with a copy of each tensor that is a view of more: torch saves whole storages.

    The tensors of a training that is packed with others are views of what all of them share.
    """
    if isinstance(value, torch.Tensor):
        if value.untyped_storage().nbytes() == value.nbytes:
            return value
        return value.clone(memory_format=torch.contiguous_format)
    if isinstance(value, dict):
        twin = copy.copy(value)  # of its own type, with what torch hangs on a state dict
        twin.update({key: _compact(part) for key, part in value.items()})
        return twin
    if isinstance(value, list | tuple):
        return type(value)([_compact(part) for part in value])
    return value


def _read(path: Path, device: torch.device) -> Any:
    try:
        header, _, payload = path.read_bytes().partition(b"\n")
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    if not header.startswith(_MAGIC):
        raise CheckpointError(f"{path}: not a checkpoint of wgan-bench")
    if hashlib.sha256(payload).hexdigest().encode() != header[len(_MAGIC) :]:
        raise CheckpointError(f"{path}: torn or altered: its checksum does not fit")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of rubbish before it raises
            return torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    # A file from elsewhere: whatever its bytes make torch raise, it is refused.
    except Exception as error:
        raise CheckpointError(f"{path}: refused: it holds more than tensors and numbers") from error
