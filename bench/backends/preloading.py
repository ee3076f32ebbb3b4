"""Imported last before runs: does once, and ahead, what every run would do.

No torch operation: what has computed must not be forked.
"""

from __future__ import annotations

import gc

import PIL.Image

import bench.backends.forked
import bench.cli  # noqa: F401 - every process imports the runner's main module again
from bench.environment import warm_up

PIL.Image.preinit()
warm_up()
# Nothing that stands now is collected in the forks: looking through it would copy its memory.
gc.freeze()
gc.enable()  # which `bench.uncollected` has put off
