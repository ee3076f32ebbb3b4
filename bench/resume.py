"""Where a training goes on: the last checkpoint that is whole and whose rows are all there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.environment import ANY, PACK, differing, pack_size
from bench.files import RowFile, damaged_line
from bench.run_folder import PROFILE_ROWS, TRAIN_ROWS, RunFolder
from bench.spec import RunSpec
from wgan import checkpoint
from wgan.data import Data
from wgan.train import TrainState, new_state


class ResumeRefused(ValueError):
    """A good checkpoint that one may not go on from here; says why and what helps."""


@dataclass(frozen=True)
class Beginning:
    """The state to train from, and how many bytes of each file of rows belong to it.

    `evaluation_due`: the state was to be scored, and that was cut short. `numerics`: those under
    which the checkpoint was made.
    """

    state: TrainState
    sizes: Mapping[str, int]
    resumed: bool
    evaluation_due: bool = False
    numerics: Mapping[str, Any] = field(default_factory=dict)

    def pack(self, allowed: Collection[str] = ()) -> int | None:
        """The size of the pack in which it must go on; None: in any, or alone.

        Nothing has been trained at step 0.

        Args:
            allowed: names of `numerics` that may differ.
        """
        free = self.state.step == 0 or PACK in allowed or ANY in allowed
        return None if free else pack_size(self.numerics)


def begin(
    spec: RunSpec,
    folder: RunFolder,
    data: Data,
    device: str,
    protocol: Mapping[str, Any],
    numerics: Mapping[str, Any],
    allow_numerics: Collection[str],
) -> Beginning:
    """From the newest good checkpoint, or from the start; log.txt tells what was damaged.

    What `numerics` say of packs is left to whoever forms them (`Beginning.pack`). A checkpoint that
    cannot be used is set aside, so that none is mistaken for the newest.

    Raises:
        ResumeRefused: the newest good checkpoint was made under other numerics or another protocol.
    """
    _remove(folder, "*.tmp", "checkpoints/*.tmp", "samples/*.tmp")  # of writers that were killed
    for path in folder.checkpoints():
        state = new_state(spec.config, data, device)
        try:
            extra = checkpoint.load(path, state)
            sizes = _recorded_sizes(extra, path)
            _check_rows(folder, sizes)
        except (checkpoint.CheckpointError, _RowsLost) as error:
            folder.note(f"cannot go on from a checkpoint: {error}")
            path.replace(path.with_name(path.name + ".bad"))
            continue
        _check_protocol(path, extra, protocol)
        before = extra.get("numerics", {})
        _check_numerics(path, before, numerics, (PACK, *allow_numerics))
        return Beginning(state, sizes, True, bool(extra.get("evaluation_due")), before)
    _remove(folder, TRAIN_ROWS, PROFILE_ROWS, "eval-*.jsonl", "protocol-*.json", "samples/*.png")
    return Beginning(new_state(spec.config, data, device), {}, resumed=False)


def open_rows(path: Path, beginning: Beginning) -> RowFile:
    """The file of rows, cut to what belongs to the state."""
    return RowFile(path, beginning.sizes.get(path.name, 0))


class _RowsLost(ValueError):
    """Rows that a checkpoint counts on are not there."""


def _recorded_sizes(extra: Mapping[str, Any], path: Path) -> dict[str, int]:
    sizes = extra.get("sizes")
    if not isinstance(sizes, dict) or TRAIN_ROWS not in sizes:
        raise _RowsLost(f"{path} says nothing of its rows")
    if not all(type(size) is int and size >= 0 for size in sizes.values()):
        raise _RowsLost(f"{path} gives sizes of its rows that none can have")
    return {str(name): size for name, size in sizes.items()}


def _check_rows(folder: RunFolder, sizes: Mapping[str, int]) -> None:
    for name, size in sizes.items():
        path = folder.path / name
        held = path.stat().st_size if path.exists() else 0
        if held < size:
            raise _RowsLost(f"{path} holds {held} of its {size} bytes")
        damage = damaged_line(path, size) if size else None
        if damage is not None:
            raise _RowsLost(f"{path}: {damage}")


def _check_protocol(path: Path, extra: Mapping[str, Any], protocol: Mapping[str, Any]) -> None:
    before = extra.get("protocol")
    if before != protocol["id"]:
        raise ResumeRefused(
            f"{path}: this run was scored by protocol {before!r} so far, and would be by "
            f"{protocol['id']!r} from here on; restore the library, weights or settings of the "
            f"first (its protocol-{before}.json), or give the sweep another name"
        )


def _check_numerics(
    path: Path,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    allowed: Collection[str],
) -> None:
    refused = differing(before, now, allowed)
    if refused:
        names = ",".join(
            name for name in {**before, **now} if name != PACK and before.get(name) != now.get(name)
        )
        raise ResumeRefused(
            f"{path}: going on would mix numerics: {'; '.join(refused)}; restore them, allow it "
            f"with --allow-numerics {names}, or give the sweep another name"
        )


def _remove(folder: RunFolder, *patterns: str) -> None:
    for pattern in patterns:
        for path in folder.path.glob(pattern):
            path.unlink()
