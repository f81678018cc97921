"""The rows of a record in their file: read on from the link at which they ended, and anew of another record."""

from pathlib import Path
from typing import Any

from cds_hooks.evidence.monitor.rows import RecordRows
from tests.cds_hooks.evidence.storage.samples import a_decision, store


def read(url: str, file: Path) -> tuple[dict[str, int], tuple[Any, ...]]:
    """How many rows each table has after a reading, and up to which link and with which key."""
    rows = RecordRows(url, file)
    rows.read()
    tables = ("calls", "facts", "answers")
    counts = {table: rows.connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in tables}  # noqa: S608
    (mark,) = rows.connection.execute("SELECT sequence, key FROM mark").fetchall()
    rows.connection.close()
    return counts, mark


def test_a_record_is_read_on_where_it_ended_and_another_one_from_its_beginning(tmp_path: Path, sqlite_url: str) -> None:
    file = tmp_path / "rows.duckdb"
    store(sqlite_url, a_decision(), answered=True)
    first, (end, key) = read(sqlite_url, file)
    assert (first["calls"], first["answers"], end) == (1, 1, 2)
    assert read(sqlite_url, file) == (first, (2, key))
    store(sqlite_url, a_decision(client="trial:tester"))
    assert read(sqlite_url, file) == (first, (3, key))
    store(sqlite_url, a_decision(), answered=True)
    assert read(sqlite_url, file) == ({name: 2 * count for name, count in first.items()}, (5, key))
    for old in tmp_path.glob("*.sqlite3*"):
        old.unlink()
    store(sqlite_url, *(a_decision() for _ in range(6)))
    counts, (end, other_key) = read(sqlite_url, file)
    assert (counts["calls"], counts["answers"], end) == (6, 0, 6)
    assert other_key != key
