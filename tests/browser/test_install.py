"""install.sh installs chromium where it is missing, and says why when it cannot.

Debian's programs are stood in for by scripts that note how they were called.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="for Debian")

SCRIPT = Path(__file__).with_name("install.sh")


class System:
    """A directory that is the whole PATH of install.sh."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        self.calls.touch()
        for tool in ("sh", "mktemp", "tail", "rm", "env"):
            (directory / tool).symlink_to(str(shutil.which(tool)))
        self.program("id", "echo 0")
        self.program("apt-get", "exit 0")

    def program(self, name: str, body: str) -> None:
        """Put a program there; each of its calls adds a line to `calls`."""
        path = self.directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{body}\n')
        path.chmod(0o755)

    def install(self) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self.directory), "TMPDIR": str(self.directory)}
        return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True)

    def called(self, name: str) -> list[str]:
        """The calls of one program."""
        return [line for line in self.calls.read_text().splitlines() if line.split()[0] == name]


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_a_missing_chromium_is_installed(system: System) -> None:
    assert system.install().returncode == 0
    assert system.called("apt-get") == [
        "apt-get update",
        "apt-get install -y --no-install-recommends chromium",
    ]


def test_nothing_is_done_where_it_is_there(system: System) -> None:
    system.program("chromium", "exit 0")
    done = system.install()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert system.called("apt-get") == []


def test_a_failure_is_shown_with_what_apt_said(system: System) -> None:
    system.program("apt-get", "echo E: Unable to locate package chromium; exit 100")
    done = system.install()
    assert done.returncode == 1
    assert "E: Unable to locate package chromium" in done.stderr
    assert "test-browser: chromium could not be installed" in done.stderr


def test_without_root_sudo_is_used_and_without_sudo_it_is_said(system: System) -> None:
    system.program("id", "echo 1000")
    done = system.install()
    assert done.returncode == 1
    assert "there is no sudo here" in done.stderr
    system.program("sudo", '"$@"')
    assert system.install().returncode == 0
    assert len(system.called("sudo")) == 2


def test_a_system_without_apt_is_told_what_is_missing(system: System) -> None:
    (system.directory / "apt-get").unlink()
    done = system.install()
    assert done.returncode == 1
    assert "there is no chromium on the PATH" in done.stderr
