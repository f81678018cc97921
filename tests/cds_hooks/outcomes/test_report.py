"""The body of POST /outcomes: what is read, and the sentence for what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.errors import HookError
from cds_hooks.outcomes.labels import DAY
from cds_hooks.outcomes.report import MOST_REPORTS, read_reports, span_of

ID = "0190a1b2-c3d4-7e5f-8a6b-012345670000"
FULL: dict[str, Any] = {"prediction": ID, "outcome": "yes", "at": "2026-11-20"}


def body(*reports: Any) -> bytes:
    return json.dumps({"outcomes": reports}).encode()


@pytest.mark.parametrize(
    "report",
    [
        FULL,
        {"prediction": ID, "outcome": "unknown"},
        {"patient": "p1", "event": "death", "at": "2026-11-20T09:05:31Z"},
        {"patient": "Patient/p1", "model": "mortality_5y", "outcome": "no", "at": "2031-11-20"},
        {"card": ID, "order": "still-ordered"},
        {"event": "admission", "completeThrough": "2026-10-31"},
    ],
)
def test_each_form_of_a_report_is_read(report: dict[str, Any]) -> None:
    (found,) = read_reports(body(report))
    assert {name: getattr(found, name) for name in report} == report


def test_an_instant_is_read_in_utc_and_a_day_is_24_hours() -> None:
    (found,) = read_reports(body(FULL | {"at": "2026-11-20T10:05:31.5+01:00"}))
    assert found.at == "2026-11-20T09:05:31.500000Z"
    start, end = span_of("2026-11-20")
    assert end - start == DAY - 1
    assert span_of("2026-11-20T00:00:00Z") == (start, start)


@pytest.mark.parametrize(
    ("report", "place", "words"),
    [
        ({}, "outcomes[0].prediction", "names one of prediction, patient, card and completeThrough"),
        (FULL | {"patient": "p"}, "outcomes[0].patient", "and only one"),
        ({"prediction": ID}, "outcomes[0].outcome", "needs outcome"),
        (FULL | {"order": "changed"}, "outcomes[0].order", "has no order"),
        (FULL | {"at": "yesterday"}, "outcomes[0].at", "neither a day"),
        (FULL | {"at": "2026-02-30"}, "outcomes[0].at", "neither a day"),
        (FULL | {"at": "2026-11-20T09:05:31"}, "outcomes[0].at", "with its zone"),
        ({"patient": "p", "at": "2026-11-20"}, "outcomes[0].event", "either the event or the model"),
        ({"patient": "p", "event": "d", "model": "m", "at": "2026-11-20"}, "outcomes[0].event", "either the event"),
        ({"patient": "p", "event": "d", "outcome": "unknown", "at": "2026-11-20"}, "outcomes[0].outcome", "taken back"),
        ({"patient": " ", "event": "death", "at": "2026-11-20"}, "outcomes[0].patient", "blank"),
        ({"patient": "p\u0007", "event": "death", "at": "2026-11-20"}, "outcomes[0].patient", "not printable"),
        ({"event": "death", "completeThrough": "2026-11-20T00:00:00Z"}, "outcomes[0].completeThrough", "is a day"),
        (FULL | {"outcom": "yes"}, None, "no list of outcomes"),
        (FULL | {"outcome": "maybe"}, None, "no list of outcomes"),
        (7, None, "no list of outcomes"),
    ],
)
def test_a_wrong_report_is_refused_with_its_place_and_without_its_value(
    report: Any, place: str | None, words: str
) -> None:
    with pytest.raises(HookError, match=words.replace("[", r"\[")) as refused:
        read_reports(body(report))
    assert refused.value.status == 400
    assert refused.value.expression == place
    assert "yesterday" not in refused.value.text


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"outcomes": []}', 400),
        (b"{}", 400),
        (b"[]", 400),
        (b"\xff{}", 400),
        (b'{"outcomes": ' + b"[" * 100_000, 400),
        (body(*[FULL] * (MOST_REPORTS + 1)), 413),
    ],
)
def test_what_is_no_list_of_reports_is_refused(content: bytes, status: int) -> None:
    with pytest.raises(HookError) as refused:
        read_reports(content)
    assert refused.value.status == status


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda each: st.lists(each, max_size=3)
)
_MEMBERS = ("prediction", "patient", "card", "model", "event", "outcome", "at", "suggestion", "order")


@given(st.lists(st.dictionaries(st.sampled_from([*_MEMBERS, "completeThrough"]), _JSON), min_size=1, max_size=3))
def test_any_other_content_is_refused_in_a_sentence(reports: list[Any]) -> None:
    refused: HookError | None = None
    try:
        read_reports(body(*reports))
    except HookError as error:
        refused = error
    assert refused is None or (refused.status in (400, 413) and refused.text.endswith("."))
