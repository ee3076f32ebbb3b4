"""Leases: who may write into a run folder. No file locks: network file systems do not keep them.

A lease is the folder `lease/` with a random token and its owner in `owner.json`. It is made whole
elsewhere and renamed into place, so that only one taker succeeds and no lease is ever seen without
its owner. The owner renews a heartbeat. Who finds a lease expired renames it to
`lease.expired-<token>`, which, again, only one taker can do: the name is taken ever after.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench.files import FileError, read_json, write_json

EXPIRES_SECONDS = 120.0  # unchanged for so long, by the observer's own monotonic clock
BEAT_SECONDS = 2.0
LEASE = "lease"
_OWNER = "owner.json"


class LeaseHeld(Exception):
    """Another living process holds the lease; its text says which."""


class LeaseLost(Exception):
    """This process no longer holds the lease that it took, and must write nothing more."""


def this_process() -> dict[str, Any]:
    """What tells this process from every other: host, boot, namespace, pid and its start."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "created": psutil.Process().create_time(),
    }


def _boot() -> str:
    """Names this start of this machine, and the container whose process numbers these are."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"booted {psutil.boot_time():.0f}"


def _runner() -> int:
    """The process that began this one to train a run, or this one."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def owner_of(folder: Path) -> dict[str, Any] | None:
    """The content of the lease on a run folder, or None where it is free."""
    try:
        return read_json(folder / LEASE / _OWNER)
    except FileNotFoundError:
        return None
    except FileError:
        return {"token": ""}


def heartbeat_of(folder: Path) -> dict[str, Any]:
    """The last heartbeat of the lease's owner: `beat`, `at` (its clock) and its `progress`."""
    owner = owner_of(folder)
    if owner is None:
        return {}
    try:
        return read_json(folder / LEASE / f"beat-{owner.get('token')}.json")
    except (FileNotFoundError, FileError):
        return {}


def process_is_gone(owner: Mapping[str, Any]) -> bool | None:
    """Whether the owner's process has ended; None where this machine cannot know."""
    here = this_process()
    if (owner.get("host"), owner.get("boot")) != (here["host"], here["boot"]):
        return None
    try:
        process = psutil.Process(int(owner["pid"]))
        # A process number is used again; 2 s allow for a clock that was set.
        reused = abs(process.create_time() - float(owner["created"])) > 2.0
        return reused or bool(process.status() == psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
        return True
    except psutil.AccessDenied:
        return None


class Sighting(NamedTuple):
    """What an observer saw: "free", "held", "expired" or "unsure", and the token of that lease."""

    state: str
    token: str = ""


class Observer:
    """Watches leases of others; remembers since when each has not changed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[str, float]] = {}

    def look(self, folder: Path) -> Sighting:
        """How the lease on a run folder stands; "unsure" of an owner elsewhere until watched."""
        owner = owner_of(folder)
        if owner is None:
            return Sighting("free")
        token, gone = str(owner.get("token", "")), process_is_gone(owner)
        if gone:
            return Sighting("expired", token)
        state = json.dumps([owner, heartbeat_of(folder)], sort_keys=True)
        before, since = self._seen.get(folder, ("", 0.0))
        if state != before:
            self._seen[folder] = (state, self._clock())
            return Sighting("held" if before or gone is False else "unsure", token)
        if self._clock() - since > EXPIRES_SECONDS:
            return Sighting("expired", token)
        return Sighting("unsure" if gone is None else "held", token)


@dataclass
class Lease:
    """A lease that this process holds; use `take_lease`.

    `progress` is written with every heartbeat: its owner puts what others may want to know.
    """

    folder: Path
    token: str
    progress: dict[str, Any] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _beats: int = 0

    def is_held(self) -> bool:
        """Whether the lease in place is still this one."""
        owner = owner_of(self.folder)
        return owner is not None and owner.get("token") == self.token

    def check(self) -> None:
        """Call before writing.

        Raises:
            LeaseLost: somebody took the lease over, or the folder is gone.
        """
        if not self.is_held():
            gone = not self.folder.is_dir()
            why = "it was removed" if gone else "another process has taken this run over"
            raise LeaseLost(f"{self.folder}: {why}")

    def beat(self) -> None:
        """Renew the heartbeat."""
        self._beats += 1
        beat = {"beat": self._beats, "at": time.time(), **self.progress}
        write_json(self.folder / LEASE / f"beat-{self.token}.json", beat, sync=False)

    def keep_alive(self, on_beat: Callable[[], None] | None = None) -> None:
        """Renew the heartbeat from a thread from now on: a long evaluation must lose no lease.

        Args:
            on_beat: called at every heartbeat, in that thread.
        """

        def keep() -> None:
            while not self._over.wait(BEAT_SECONDS):
                try:
                    if on_beat is not None:
                        on_beat()
                    if not self.is_held():
                        return
                    self.beat()
                except OSError:
                    continue  # a full disk may have room again; the owner's own writes tell of it

        self._thread = threading.Thread(target=keep, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give the lease back; nothing happens where it is lost."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self.is_held():
            aside = self.folder / f"{LEASE}.released-{self.token}"
            (self.folder / LEASE).rename(aside)
            shutil.rmtree(aside, ignore_errors=True)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def take_lease(folder: Path) -> Lease:
    """Take the lease on a run folder; that of a process which is gone is taken over.

    Raises:
        LeaseHeld: a living process has it, or one of which this machine cannot yet know.
        OSError: the folder cannot be written.
    """
    put_aside(folder, Observer().look(folder))
    token = uuid.uuid4().hex
    prepared = folder / f"{LEASE}.new-{token}"
    prepared.mkdir()
    try:
        owner = {"token": token, **this_process(), "runner": _runner(), "taken": time.time()}
        # Not synced: where the machine crashes, so does the owner.
        write_json(prepared / _OWNER, owner, sync=False)
        # Fails where a lease stands: a folder is never renamed over one that holds something.
        prepared.rename(folder / LEASE)
    except OSError:
        if owner_of(folder) is None:
            raise
        raise LeaseHeld(describe(folder)) from None
    finally:
        shutil.rmtree(prepared, ignore_errors=True)
    lease = Lease(folder, token)
    try:
        lease.beat()
    except OSError:
        lease.release()  # the disk is full: it must not look alive for as long as this process
        raise
    return lease


def describe(folder: Path) -> str:
    """Who holds the lease, in words: the process that dispatched the run, where it is another."""
    owner = owner_of(folder) or {}
    process = owner.get("runner", owner.get("pid", "?"))
    return f"process {process} on {owner.get('host', 'an unknown host')}"


def put_aside(folder: Path, sighting: Sighting) -> None:
    """Free a run folder of the lease that was seen to be expired; does nothing with any other.

    Of several who try, one succeeds; the fresh lease of a quicker one is never hit, since the name
    of the one that had expired is then taken.
    """
    if sighting.state == "expired":
        with contextlib.suppress(OSError):
            (folder / LEASE).rename(folder / f"{LEASE}.expired-{sighting.token}")


def sweep_away(folder: Path) -> None:
    """Remove what earlier leases left behind; only when the run has ended for good."""
    for left in folder.glob(f"{LEASE}.*-*"):
        shutil.rmtree(left, ignore_errors=True)
