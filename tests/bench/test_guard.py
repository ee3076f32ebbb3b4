"""Exit codes: what a verb's end means, however it came about."""

from __future__ import annotations

import gc
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from bench.verbs.guard import guarded, loading


def run(verb):
    return CliRunner().invoke(click.command()(guarded(verb)))


def interrupted_while_a_library_starts() -> int:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as interrupt:
        raise ImportError("initialization failed") from interrupt


def interrupted() -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize("verb", [interrupted, interrupted_while_a_library_starts])
def test_ctrl_c_is_a_stop_even_where_it_meets_a_library_s_start(verb):
    result = run(verb)
    assert (result.exit_code, result.stderr) == (130, "stopped\n")


def test_a_library_that_is_missing_is_named():
    def verb() -> int:
        raise ImportError("no such file", name="torch.nowhere")

    result = run(verb)
    assert result.exit_code == 2
    assert result.stderr.startswith("torch cannot be imported: no such file; `wgan-bench doctor`")


@pytest.mark.parametrize("error", [RuntimeError("ours"), ValueError("ours"), ImportError("ours")])
def test_a_mistake_of_ours_keeps_its_traceback(error):
    def verb() -> int:
        raise error

    assert run(verb).exception is error


def test_ctrl_c_while_libraries_load_ends_at_once_and_the_handler_is_given_back():
    code = (
        "import os, signal\n"
        "from bench.verbs.guard import loading\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "with loading():\n"
        "    pass\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
        "with loading():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    except BaseException:\n"
        "        pass\n"  # as a library that swallows it
        "print('went on')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"stopped\n")


def test_memory_is_searched_for_garbage_again_once_libraries_are_loaded():
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()
