"""Whether what stands in a run folder is what is asked for, and the difference where it is not."""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.files import FileError, read_json
from bench.run_folder import SPEC, RunFolder
from bench.spec import RunSpec
from wgan.components import ConfigError
from wgan.config import COMPONENTS

# What may change of a run whose training has begun: names, and what touches no row.
_FREE = (("label",), ("recipe",), ("sweep",), ("checkpoint_seconds",))
# Weights that are moved are the same weights: the protocol holds their hash.
_FREE_PATHS = (("evaluate", "inception_weights"),)


def refusal(spec: RunSpec, folder: RunFolder) -> str | None:
    """Why the run that stands in `folder` is not the one that `spec` asks for, or None if it is."""
    try:
        stands = read_json(folder.at(SPEC))
    except FileNotFoundError:
        damage = f"{folder.spec} is missing"
    except FileError as error:
        damage = str(error)
    else:
        differences = _all_differences(stands, spec.to_plain())
        if not differences:
            return None
        if stands.get("run_id") != spec.run_id:
            return (
                f"{folder.spec} is not the specification of run {spec.run_id}; move the folder "
                f"away to train it again"
            )
        return (
            f"{folder.path} holds a run with other settings: {'; '.join(differences)}. Restore the "
            f"setting, or give the sweep another name; nothing was overwritten"
        )
    return (
        f"{damage}, so that nobody can say what was trained there; move the folder away to train "
        f"it again"
    )


def _all_differences(stands: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """The settings in which the two differ. Most are equal to the letter, which shows at once."""
    if stands == asked:
        return []
    today = _in_today_s_words(stands)
    return [] if today == asked else _differences(today, asked)


def _in_today_s_words(stands: dict[str, Any]) -> dict[str, Any]:
    """A frozen specification with the fields that were added since, at the old behaviour."""
    try:
        return RunSpec.from_plain(stands).to_plain()
    except ConfigError:
        return stands


def _differences(stands: Any, asked: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Every setting in which two plain specifications differ, as clauses."""
    if path in _FREE or path in _FREE_PATHS or _is_place(path):
        return []
    if isinstance(stands, dict) and isinstance(asked, dict):
        names = [*asked, *(name for name in stands if name not in asked)]
        return [
            line
            for name in names
            for line in _differences(stands.get(name), asked.get(name), (*path, name))
        ]
    if stands == asked:
        return []
    return [f"{'.'.join(path)} is {_word(stands)} there, {_word(asked)} is asked for"]


def _is_place(path: tuple[str, ...]) -> bool:
    """Whether the setting only says where a component's data lies: `setting(place=True)`."""
    if len(path) != 4 or path[0] != "config" or path[1] not in COMPONENTS:
        return False
    part = COMPONENTS[path[1]].registry.get(path[2])
    fields = dataclasses.fields(part) if part is not None else ()
    return any(item.name == path[3] and bool(item.metadata.get("place")) for item in fields)


def _word(value: Any) -> str:
    return "not set" if value is None else repr(value)
