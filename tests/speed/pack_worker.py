"""One of two processes that share the seeds of a toy: trains as many steps as each line says.

`python -m tests.speed.pack_worker plain|packed WIDTH COUNT`.
"""

from __future__ import annotations

import sys

from tests.speed.packs import Packed, Plain
from tests.speed.told import obey


def main() -> None:
    kind, width, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    trainings = {"plain": Plain, "packed": Packed}[kind](width, count)
    trainings.run(3)
    obey(trainings.run)


if __name__ == "__main__":
    main()
