"""What a start needs of the rules is kept in a file, and one that is stale or damaged is never used."""

import subprocess
import sys
from pathlib import Path

import pytest

from cards.rules.engine import prepared
from cards.rules.engine.family import family_named
from cards.rules.engine.prepared import PreparedFamily, prepare, read_prepared, write_prepared

SOURCES = b"s" * 32


@pytest.fixture(scope="module")
def families() -> dict[str, PreparedFamily]:
    return {name: prepare(family_named(name)) for name in ("renal", "ddi", "review")}


def test_the_file_brings_back_what_was_written(tmp_path: Path, families: dict[str, PreparedFamily]) -> None:
    write_prepared(tmp_path / "new" / "rules", SOURCES, families)
    read = read_prepared(tmp_path / "new" / "rules", SOURCES)
    assert read is not None
    assert [rule.rule for rule in read["ddi"].rules] == [rule.rule for rule in families["ddi"].rules]
    assert {name: (family.table, [rule.outline for rule in family.rules]) for name, family in read.items()} == {
        name: (family.table, [rule.outline for rule in family.rules]) for name, family in families.items()
    }
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["rules"]


@pytest.mark.parametrize("position", [0, 31, 32, 63, 64, 5_000, -1])
def test_a_file_of_other_sources_or_with_one_other_byte_is_not_used(
    tmp_path: Path, families: dict[str, PreparedFamily], position: int
) -> None:
    path = tmp_path / "rules"
    write_prepared(path, SOURCES, families)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert read_prepared(path, SOURCES) is None


@pytest.mark.parametrize("length", [0, 40, 64, 70_000])
def test_a_file_that_ends_too_early_is_not_used(
    tmp_path: Path, families: dict[str, PreparedFamily], length: int
) -> None:
    path = tmp_path / "rules"
    write_prepared(path, SOURCES, families)
    path.write_bytes(path.read_bytes()[:length])
    assert read_prepared(path, SOURCES) is None
    assert read_prepared(tmp_path / "absent", SOURCES) is None


_START = """
import sys
from pathlib import Path
from cards.rules.engine import prepared
prepared.PREPARED = Path(sys.argv[1])
from cards.rules.engine.rule_book import rule_book
print(len(rule_book().rules), sorted(rule_book().needs.resources))
"""


@pytest.mark.slow
def test_two_processes_that_start_at_once_write_one_file_that_the_third_reads(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _START, str(tmp_path / "rules")]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (start.communicate()[0] for start in starts)
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == ["rules"]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout == first
    assert read_prepared(tmp_path / "rules", prepared.digest_of_sources()) is not None
