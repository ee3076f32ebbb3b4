"""CUDA graphs against eager iterations, on a GPU: `python -m tests.speed.gpu_graph FILE`.

The SN-GAN CNN at 32 x 32 with batches of 64, in each precision that is required. Both sides are
`wgan.train` itself; rounds alternate. FILE gets the figures as `tests.speed.kept` takes them up.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.speed.figure import Figure
from tests.speed.ours import Ours, configured, random_images
from tests.speed.ratios import interleaved, ratios
from wgan.components import ConfigError

PRECISIONS = {"tf32": "gpu_graph_tf32", "bf16": "gpu_graph_bf16"}
STEPS, ROUNDS = 20, 7


def waited_for(side: Ours) -> Callable[[], None]:
    """A piece of this side, to its end on the device."""

    def run() -> None:
        side.run(STEPS)
        torch.cuda.synchronize()

    return run


def of_precision(precision: str, **settings: Any) -> dict[str, list[float]]:
    """Seconds of pieces, eager and as a graph."""
    config = configured(
        "sngan", dataset="cifar10", network="sn_cnn", precision=precision, **settings
    )
    data = random_images().to("cuda")
    sides = {
        name: waited_for(Ours(config, data, "cuda", eager=name == "eager"))
        for name in ("eager", "graph")
    }
    for run in sides.values():
        run()  # warm: a graph is captured after its third iteration
    return interleaved(sides, ROUNDS)


def measured() -> dict[str, Any]:
    """All figures, with the device that they are of."""
    plain, told = of_precision("float32"), {}
    print(f"float32: {statistics.median(ratios(plain, 'eager', 'graph')):.2f} times")  # noqa: T201
    for precision, name in PRECISIONS.items():
        try:
            seconds = of_precision(precision)
        except ConfigError as error:
            print(f"{precision}: {error}")  # noqa: T201
            continue
        over_plain = statistics.median(plain["eager"]) / statistics.median(seconds["graph"])
        milliseconds = {
            side: 1e3 * statistics.median(values) / STEPS for side, values in seconds.items()
        }
        told[name] = Figure(
            ratios(seconds, "eager", "graph"),
            seconds,
            remark=(
                f"eager in the same precision; {over_plain:.2f} times eager float32; "
                f"{milliseconds['graph']:.2f} against {milliseconds['eager']:.2f} ms per step"
            ),
        ).to_plain()
    return {"machine": header(), "figures": told}


@functools.cache
def header() -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": sys.version.split()[0],
    }


def main() -> None:
    path = Path(sys.argv[1])
    found = measured()
    if path.is_file():
        found["figures"] = {**json.loads(path.read_text())["figures"], **found["figures"]}
    path.write_text(json.dumps(found, indent=1) + "\n")
    for name, figure in found["figures"].items():
        median = statistics.median(figure["values"])
        print(f"{name}: {median:.2f} times ({figure['remark']})")  # noqa: T201


if __name__ == "__main__":
    main()
