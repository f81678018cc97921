"""The official tests of the language, read from the data folder, give what they expect."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from cards.knowledge.lines import Session

NOW = "2026-11-28T10:00:00+00:00"


def _value(library: Any) -> Any:
    session = Session()
    session.answer(json.dumps({"library": library}))
    answer = session.answer(json.dumps({"expressions": ["A"], "resources": [], "now": NOW}))
    assert answer is not None
    return answer["values"]["A"]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(float(value), 7) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _is_error(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"error"}


@pytest.mark.outside_data
def test_at_least_97_of_100_official_tests_of_the_language_give_what_they_expect(data_folder: Path) -> None:
    with gzip.open(data_folder / "knowledge" / "cql-tests.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    failed = []
    for row in rows:
        value = _value(row["elm"])
        if row["output"] is None:
            right = _is_error(value)
        else:
            right = not _is_error(value) and _rounded(value) == _rounded(_value(row["out"]))
        if not right:
            failed.append(f"{row['name']}: {row['expression']}")
    assert len(failed) <= 0.03 * len(rows), "\n".join(failed)
