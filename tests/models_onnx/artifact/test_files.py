"""A file is written to its end or stays as it was."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models_onnx.artifact.files import whole_file, write_whole
from tests.program import run_program


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file grows beyond so many bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    keeps_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # Python would keep half of a module
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = keeps_bytecode


def test_an_interrupt_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("as it was")

    def interrupted() -> None:
        with whole_file(file) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["as it was"]


def test_a_link_a_mode_and_the_end_of_a_name_are_kept(tmp_path: Path) -> None:
    file, link = tmp_path / "rows.csv.gz", tmp_path / "newest.csv.gz"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    with whole_file(link) as draft:
        assert draft.name.endswith(".csv.gz")
        draft.write_bytes(b"new")
    assert link.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)


def test_a_command_on_a_full_disk_keeps_the_file_that_was_there_and_names_it(tmp_path: Path) -> None:
    (tmp_path / "kept.md").write_text("as it was")
    with full_disk(1000):
        done = run_program("model", "card", "mortality_5y", "--out", "kept.md", folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "kept.md" in done.stderr
    assert "File too large" in done.stderr
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.md", "as it was")]
