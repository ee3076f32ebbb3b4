"""Makes `import torchvision` work where its compiled part does not fit the installed torch.

PyPI's torchvision is a CUDA build. Beside a CPU build of torch its library of operators cannot be
loaded, and the import dies with «operator torchvision::nms does not exist» (then qnms), although
nothing here uses those operators. Declaring them before the first import mends it. Where the
library loads, nothing is done.

Call `declare_missing_operators()` before importing torchvision or torch-fidelity.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import torch

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@functools.cache
def declare_missing_operators() -> torch.library.Library | None:
    """Declare the operators that torchvision expects and lacks; None where it lacks nothing.

    They live as long as the returned object, which the cache keeps.
    """
    if "torchvision" in sys.modules or _library_loads():
        return None
    # A second declaration of one operator is an error: another package may have mended it too.
    missing = [name for name in _OPERATORS if not hasattr(torch.ops.torchvision, name)]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in missing:
        library.define(name + _SCHEMA)
    return library


def _library_loads() -> bool:
    """Whether torchvision's compiled operators load beside this torch; if so, loads them."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return True  # not installed: the import itself says so best
    for path in sorted(Path(found.origin).parent.glob("_C*")):
        if path.suffix in (".so", ".pyd"):
            try:
                torch.ops.load_library(str(path))
            except (OSError, RuntimeError):
                return False
            return True
    return False
