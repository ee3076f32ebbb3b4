"""16 seeds of a toy MLP as one stacked model, on a GPU: `python -m tests.speed.gpu_packed FILE`.

Against the same training alone, eagerly, in seconds per seed; rounds alternate. FILE gets the
figures as `tests.speed.kept` takes them up; what is in it already stays.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.speed.figure import Figure
from tests.speed.gpu_graph import header
from tests.speed.packs import configs_of
from tests.speed.ratios import interleaved, ratios
from wgan.cuda_graph import captured
from wgan.iteration import Eager
from wgan.packed.iteration import Packed
from wgan.packed.state import PackedState
from wgan.state import Window, new_state

SEEDS, WIDTHS, ROUNDS, STEPS = 16, (64, 128, 512), 7, 20
DEVICE = "cuda"


def sides(width: int) -> dict[str, Callable[[], None]]:
    """Twenty steps of: a training alone, a pack, and the pack as a graph."""
    configs = configs_of(width, SEEDS)
    data = configs[0].dataset.load().to(DEVICE)
    alone = new_state(configs[0], data, DEVICE)

    def state() -> PackedState:
        states = [new_state(config, data, DEVICE) for config in configs]
        return PackedState(configs[0], states, SEEDS)

    plain, graphed = state(), state()
    made: dict[str, tuple[Any, Any]] = {
        "alone": (alone, Eager(configs[0], data, alone)),
        "eager pack": (plain, Packed(configs[0], data, plain)),
        "pack": (graphed, captured(Packed(configs[0], data, graphed), _refuse)),
    }
    return {name: _pieces(*pair) for name, pair in made.items()}


def _pieces(state: Any, iterate: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(STEPS):
            iterate()
            state.step += 1
        state.window = [] if isinstance(state, PackedState) else Window()
        torch.cuda.synchronize()

    return run


def _refuse(reason: str) -> None:
    raise RuntimeError(reason)


def measured() -> dict[str, Any]:
    """All figures, with the device that they are of; the kept one is the narrowest network's."""
    per_seed, remarks, times = {}, [], {}
    for width in WIDTHS:
        runs = sides(width)
        for run in runs.values():
            run()
        seconds = interleaved(runs, ROUNDS)
        gains = {name: ratios(seconds, "alone", name) for name in ("pack", "eager pack")}
        per_seed[width] = [SEEDS * gain for gain in gains["pack"]]
        without = SEEDS * statistics.median(gains["eager pack"])
        median = statistics.median(per_seed[width])
        milliseconds = 1e3 * statistics.median(seconds["pack"]) / STEPS / SEEDS
        remarks.append(f"width {width}: {median:.1f}, without a graph {without:.1f}")
        print(f"{remarks[-1]}; {milliseconds:.4f} ms per seed and step")  # noqa: T201
        times[width] = seconds
    width = WIDTHS[0]
    kept = {side: times[width][side] for side in ("alone", "pack")}
    figure = Figure(per_seed[width], kept, remark="; ".join(remarks))
    return {"machine": header(), "figures": {"gpu_pack": figure.to_plain()}}


def main() -> None:
    path = Path(sys.argv[1])
    found = measured()
    if path.is_file():
        found["figures"] = {**json.loads(path.read_text())["figures"], **found["figures"]}
    path.write_text(json.dumps(found, indent=1) + "\n")
    median = statistics.median(found["figures"]["gpu_pack"]["values"])
    print(f"gpu_pack: {median:.1f} times per seed")  # noqa: T201


if __name__ == "__main__":
    main()
