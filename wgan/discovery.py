"""Finding components: adding a file to a package is all it takes to add a component."""

import importlib
import pkgutil


def import_all(package: str, path: list[str]) -> None:
    """Import each module directly inside `package`, whose `__path__` is `path`."""
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
