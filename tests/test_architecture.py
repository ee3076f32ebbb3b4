"""The house's walls: who may import whom, and what the project must never contain."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "wgan").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])


@functools.cache
def imports(path: Path) -> set[str]:
    """The full names of all modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
    return found


def importers(package: str) -> list[str]:
    """The files of wgan and bench that import `package` or something inside it."""
    return [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name == package or name.startswith(f"{package}.") for name in imports(path))
    ]


def test_the_core_knows_nothing_of_the_harness():
    assert not [path for path in importers("bench") if path.startswith("wgan/")]


@pytest.mark.parametrize("package", ["pandas", "click", "rich", "matplotlib", "ruamel", "jinja2"])
def test_the_core_imports_no_harness_library(package):
    assert not [path for path in importers(package) if path.startswith("wgan/")]


@pytest.mark.parametrize("package", ["torch_fidelity", "torchvision"])
def test_only_evaluation_imports_the_metric_libraries(package):
    assert importers(package) or package == "torchvision"
    allowed = ("bench/evaluate/", "bench/verbs/doctor.py", "wgan/data/")
    assert not [path for path in importers(package) if not path.startswith(allowed)]


def test_only_the_loop_s_two_steps_call_backward():
    """And those of a pack, which give each network the gradient of its own loss."""
    callers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.is_relative_to(ROOT / "wgan") and ".backward(" in path.read_text(encoding="utf-8")
    ]
    assert callers == ["wgan/packed/steps.py", "wgan/steps.py"]


def test_figures_and_tables_read_no_file():
    drawing = [ROOT / "bench" / "tables.py", *(ROOT / "bench" / "figures").glob("*.py")]
    for path in drawing:
        text = path.read_text(encoding="utf-8")
        assert "read_text" not in text, path
        assert "open(" not in text, path
        assert "bench.store" not in imports(path), path


def test_there_is_no_utils_module():
    assert not [path for path in SOURCES if path.stem in ("utils", "helpers", "common", "misc")]


def test_asking_for_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from bench.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'seaborn', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "Usage" in done.stdout
    assert done.stderr.strip() == "[]"
