"""One side of the convolutional step, in a process of its own: how memory is held is its own too.

`python -m tests.speed.conv_side clean|float32|bf16 THREADS WIDTH`: the clean loop as a script would
be begun, or ours as the process of a run is.
"""

from __future__ import annotations

import sys

import torch

from tests.speed.conv_step import clean_loop, config_of
from tests.speed.ours import Ours, random_images
from tests.speed.told import obey
from wgan.data import as_float
from wgan.memory import keep_freed_memory
from wgan.train import new_state


def main() -> None:
    kind, threads, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    data = random_images()
    if kind == "clean":
        run = clean_loop(new_state(config_of(width=width), data), as_float(data.train), width).run
    else:
        keep_freed_memory()
        run = Ours(config_of(kind, width), data).run
    run(1)  # warm: thread pools, allocator, optimizer state
    obey(run)


if __name__ == "__main__":
    main()
