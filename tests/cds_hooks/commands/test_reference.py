"""`cds-hooks reference`: where a file cannot be written it ends in a sentence that names the file."""

from pathlib import Path

import pytest

from cds_hooks.commands import reference
from cds_hooks.storage.opening import sqlite_script
from tests.program import run_program


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder that passes for that of the documentation."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "contents.toml").write_text("")
    return folder


def test_a_package_folder_that_is_not_writable_is_a_sentence(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path("/proc/self/sqlite.sql")  # nobody can make a file there, not even root
    monkeypatch.setattr(reference, "SQLITE_SCRIPT", script)
    done = run_program("reference", "--docs", str(docs))
    assert done.returncode == 2
    assert done.stderr.startswith(f"{script} (the schema of a new record) cannot be written: ")
    assert "a checkout of the project" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_that_cannot_be_written_is_a_sentence(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "SQLITE_SCRIPT", docs / "sqlite.sql")
    (docs / "features.md").mkdir()
    done = run_program("reference", "--docs", str(docs))
    assert done.returncode == 2
    assert done.stderr.startswith(f"{docs / 'features.md'} (a page of the documentation) cannot be written: ")
    assert not (docs / "sqlite.sql").exists()


def test_the_pages_and_the_schema_are_written(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "SQLITE_SCRIPT", docs / "sqlite.sql")
    assert run_program("reference", "--docs", str(docs)).returncode == 0
    assert (docs / "reference" / "cli.md").read_text().startswith("# Commands")
    assert (docs / "sqlite.sql").read_text() == sqlite_script()
