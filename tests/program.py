"""`cds-hooks` in the tests' own process: what the program prints and its exit code, without starting it anew."""

import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import BytesIO, TextIOWrapper
from pathlib import Path
from subprocess import CompletedProcess
from types import MappingProxyType
from typing import Final

import pytest

from cds_hooks.cli import main
from cds_hooks.evidence.storage.content import use_content_keys
from cds_hooks.settings import settings
from cds_hooks.tools.commands.lazy import Lazy

HERE: Final = Path()
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_loaded: Final = cache(Lazy.load)
"""The commands as they were made for the first run that needed each: to make one takes as long as most of them run."""


def run_program(*words: str, folder: Path = HERE, environment: Mapping[str, str] = NOTHING) -> CompletedProcess[str]:
    """What `cds-hooks` with these words prints, in a folder and with these environment variables.

    As fast as the command itself: starting the program costs a second. That it starts is shown by the tests that start
    it (test_make.py, test_serve.py, test_wheel.py).
    """
    printed, complaint = _stream(), _stream()
    with pytest.MonkeyPatch.context() as changed, redirect_stdout(printed), redirect_stderr(complaint):
        changed.setattr(sys, "argv", ["cds-hooks", *words])
        changed.setattr(Lazy, "load", _loaded)
        for name, value in environment.items():
            changed.setenv(name, value)
        changed.chdir(folder)
        settings.cache_clear()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        finally:
            settings.cache_clear()
            if "CDS_CONTENT_KEYS" in environment:  # the next test of this process has no keys
                use_content_keys("")
    return CompletedProcess(words, code, _text(printed), _text(complaint))


def _stream() -> TextIOWrapper:
    """Commands that write JSON write bytes, past the text."""
    return TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
