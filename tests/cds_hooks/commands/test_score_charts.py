"""Charts as they stood on a day, and what the commands say of a folder."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.commands import understand
from cds_hooks.commands.score import charts
from models_onnx.errors import BatchRefused

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noon of 20 November 2026."""
    monkeypatch.setattr(charts, "settings", lambda: SimpleNamespace(as_of=NOW))


@pytest.mark.parametrize(
    ("day", "moment", "is_past"),
    [
        (None, NOW, False),
        ("2026-11-19", datetime(2026, 11, 19, 23, 59, 59, tzinfo=UTC), True),
        ("2026-11-20", datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), False),
        ("2026-11-21", datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC), False),
    ],
)
def test_a_day_is_read_at_its_end(now: None, day: str | None, moment: datetime, is_past: bool) -> None:
    assert charts.moment_of(day) == (moment, is_past)


@pytest.mark.parametrize(("day", "words"), [("2026-11-22", "is in the future"), ("today", "'today' is not a date")])
def test_a_day_to_come_and_a_word_are_refused(now: None, day: str, words: str) -> None:
    with pytest.raises(BatchRefused, match=words):
        charts.moment_of(day)


def test_a_chart_loses_what_is_dated_later() -> None:
    patient = b'{"resourceType":"Patient","id":"p"}'
    lines = [
        patient, b'{"resourceType":"Observation","id":"o1","effectiveDateTime":"2020-01-01"}',
        b'{"resourceType":"Observation","id":"o2","effectiveDateTime":"2020-01-03"}', b"no JSON", b"[1]",
    ]  # fmt: skip
    assert len(charts.as_it_stood(lines, datetime(2020, 1, 4, tzinfo=UTC))) == 5
    before = charts.as_it_stood(lines, datetime(2020, 1, 2, tzinfo=UTC))
    assert [json.loads(line).get("id") for line in before[:-2]] == ["p", "o1"]
    assert before[-2:] == [b"no JSON", b"[1]"]
    at_its_end = charts.as_it_stood(lines, datetime(2020, 1, 1, 23, 59, 59, tzinfo=UTC))
    assert at_its_end == before, "a result of the day itself stays, whatever is later"


def result(**changes: Any) -> Any:
    """What became of a folder."""
    read = {"used": 1200, "resources": 1500, "without_patient": 0, "unreadable": 0, "two_persons": 0}
    read |= {"unreadable_in": "a.ndjson"} | {name: changes.pop(name) for name in list(changes) if name in read}
    plain = {"patients": 1100, "counted": {"m": 1000}, "resources": SimpleNamespace(**read)}
    return SimpleNamespace(**plain | changes)


@pytest.mark.parametrize(
    ("changes", "others", "words"),
    [
        ({}, [], []),
        ({"without_patient": 1}, [], ["1 resources name no patient of the folder: not used."]),
        ({"unreadable": 2}, [], ["2 lines or files are no FHIR: not used. The first is in a.ndjson."]),
        ({"two_persons": 3}, [], ["3 patients have Patient resources that differ in birth date or sex, as if they were "
                                  "two people: not scored."]),
        ({}, [Path("x/b.xml")], ["1 files are of a form that is not read, the first is b.xml."]),
    ],
)  # fmt: skip
def test_what_was_read_and_what_was_not_is_said(
    changes: dict[str, Any], others: list[Path], words: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(charts, "files_passed_over", lambda _: others)
    charts._show(result(**changes), Path("out.csv"), Path("folder"))
    said = capsys.readouterr()
    assert said.err.splitlines() == words
    assert said.out.splitlines() == ["1,100 patients, 1,200 of 1,500 resources read: out.csv", "  m: 1,000"]


def reading(kind: str, words: str, is_understood: bool) -> Any:
    """A resource as it was read."""
    return SimpleNamespace(kind=kind, words=words, understood=is_understood)


def test_the_share_that_is_understood_is_said_by_kind_and_by_source() -> None:
    read = [
        ("a", reading("Condition", "Gout", True)),
        ("a", reading("Condition", "Odd <b>thing", False)),
        ("b", reading("Condition", "odd <b>thing", False)),
        ("", reading("Allergy", "Nuts", True)),
        ("b", reading("Condition", "", False)),
    ]
    counts = list(understand._counts([item for _, item in read]))
    assert counts[0].startswith("Of 4 Condition resources 25% are understood; the commonest that are not: odd")
    assert counts[0].endswith("(2).")
    assert counts[1] == "Of 1 Allergy resources 100% are understood."
    assert list(understand._shares(read)) == [
        "b: 0 of 2 resources are understood (0%): Condition 0 of 2.",
        "a: 1 of 2 resources are understood (50%): Condition 1 of 2.",
        "in the folder itself: 1 of 1 resources are understood (100%): Allergy 1 of 1.",
    ]
    assert list(understand._shares(read[:2])) == []


def test_resources_come_from_lines_of_the_input_and_out_of_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"id": "1"}}, {"fullUrl": "x"}]}
    lines = b'\n \n{"resourceType":"Condition"}\n' + json.dumps(bundle).encode() + b'\n{"resourceType":"Bundle"}\n'
    monkeypatch.setattr(understand, "sys", SimpleNamespace(stdin=SimpleNamespace(buffer=io.BytesIO(lines))))
    assert list(understand._resources("-")) == [("", {"resourceType": "Condition"}), ("", {"id": "1"}), ("", {})]
