"""Hidden folders beside the run folders of a sweep: runs on their way in or out.

```
.incoming-<id>-<token>  is being copied by `collect`, and renamed into its place when it is whole
.replaced-<id>-<token>  an unfinished run that gave way to a finished one
.removed-<id>-<token>   is being removed by `clean`
```

What is killed on the way leaves such a folder behind, and never half a run in a run's place.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

INCOMING, REPLACED, REMOVED = "incoming", "replaced", "removed"
_RUN = re.compile(r".+--([0-9a-f]{12})")


def aside(folder: Path, kind: str, run_id: str) -> Path:
    """A new name for a hidden folder in the folder of a sweep; nothing is made."""
    return folder / f".{kind}-{run_id}-{uuid.uuid4().hex[:8]}"


def asides(folder: Path, kind: str) -> list[Path]:
    """The hidden folders of this kind that stand in the folder of a sweep."""
    return sorted(path for path in folder.glob(f".{kind}-*-*") if is_real_folder(path))


def run_id_of(name: str) -> str | None:
    """The id in the name of a run folder; None for the name of anything else."""
    match = _RUN.fullmatch(name)
    return match[1] if match else None


def run_folders(folder: Path) -> list[Path]:
    """What stands in the folder of a sweep under the name of a run, links and files included.

    Raises:
        OSError: it cannot be read.
    """
    return sorted(path for path in folder.iterdir() if run_id_of(path.name) is not None)


def is_real_folder(path: Path) -> bool:
    """Whether a folder stands there, and no link to one."""
    return path.is_dir() and not path.is_symlink()
