"""install.sh installs what is missing, starts no service, and says why when it cannot.

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
NEEDED = "munge mariadb-server slurmdbd slurmctld slurmd slurm-client"


class System:
    """A directory that is the whole PATH of install.sh."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        for tool in ("sh", "cat", "mktemp", "tail", "rm", "tee", "env", "chmod"):
            (directory / tool).symlink_to(str(shutil.which(tool)))
        self.policy = directory / "policy-rc.d"
        self.program("id", "echo 0")
        self.program("systemctl", "exit 0")
        self.program("apt-get", f"cat {self.policy} >>{directory}/policy-seen")
        self.has("munge")

    def program(self, name: str, body: str) -> None:
        """Put a program there; each of its calls adds a line to `calls`."""
        path = self.directory / name
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{body}\n')
        path.chmod(0o755)

    def has(self, *packages: str) -> None:
        """Let these packages, and no other, be installed."""
        cases = "|".join(packages)
        query = f'for name; do :; done; case "$name" in {cases}) echo installed;; *) exit 1; esac'
        self.program("dpkg-query", query)

    def install(self) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        places = {"PATH": self.directory, "TMPDIR": self.directory, "POLICY_RC": self.policy}
        environment = {name: str(place) for name, place in places.items()}
        return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True)

    def called(self, name: str) -> list[str]:
        """The calls of one program."""
        lines = self.calls.read_text().splitlines()
        return [line for line in lines if line.split()[0] == name]


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_only_what_is_missing_is_installed_after_the_lists_are_brought_up_to_date(
    system: System,
) -> None:
    done = system.install()
    assert (done.returncode, done.stderr) == (0, "")
    missing = NEEDED.removeprefix("munge ")
    assert system.called("apt-get") == [
        "apt-get update",
        f"apt-get install -y --no-install-recommends {missing}",
    ]


def test_while_packages_are_installed_debian_is_told_to_start_no_service(system: System) -> None:
    system.install()
    assert (system.directory / "policy-seen").read_text() == "#!/bin/sh\nexit 101\n" * 2
    assert not system.policy.exists()


def test_a_policy_that_stands_is_left_as_it_is(system: System) -> None:
    system.policy.write_text("of the host\n")
    system.install()
    assert system.policy.read_text() == "of the host\n"


def test_nothing_is_done_where_all_is_installed(system: System) -> None:
    system.has(*NEEDED.split())
    done = system.install()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert system.called("apt-get") == []


def test_a_failure_is_shown_with_what_apt_said_and_ends_with_an_error(system: System) -> None:
    system.program("apt-get", "echo E: Unable to locate package slurmctld; exit 100")
    done = system.install()
    assert done.returncode == 1
    assert "E: Unable to locate package slurmctld" in done.stderr
    assert "test-slurm: the packages mariadb-server" in done.stderr
    assert "could not be installed" in done.stderr


def test_without_root_and_sudo_the_packages_to_install_are_named(system: System) -> None:
    system.program("id", "echo 1000")
    done = system.install()
    assert done.returncode == 1
    assert "these packages are missing: mariadb-server" in done.stderr
    assert "Install them as root" in done.stderr


def test_sudo_is_used_where_one_is_not_root(system: System) -> None:
    system.program("id", "echo 1000")
    system.program("sudo", '"$@"')
    assert system.install().returncode == 0
    assert len(system.called("apt-get")) == 2
    assert [line for line in system.called("sudo") if "apt-get" in line]


def test_a_system_without_apt_is_told_what_the_cluster_is_made_of(system: System) -> None:
    (system.directory / "apt-get").unlink()
    done = system.install()
    assert done.returncode == 1
    assert f"Debian's packages ({NEEDED})" in done.stderr
