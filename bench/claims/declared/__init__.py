"""The claims, one module per family. A new module is found by being there."""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every family, which registers its claims."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
