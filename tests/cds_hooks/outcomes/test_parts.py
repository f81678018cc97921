"""Reports of outcomes by themselves: what is read of a line, a resource and a time, and what is refused."""

from typing import Any

import msgspec
import pytest

from cds_hooks.errors import BadRequest, PayloadTooLarge
from cds_hooks.outcomes.files import _admitted, _observed, _said_by, _subject
from cds_hooks.outcomes.joining import model_of
from cds_hooks.outcomes.report import Report, WrongReport, checked_report, read_reports, span_of

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"prediction": "d", "outcome": "yes"}, None),
        ({"prediction": "d", "outcome": "unknown", "at": "2026-11-20", "model": "m"}, None),
        ({"patient": "p", "event": "death", "at": "2026-11-20"}, None),
        ({"patient": "p", "model": "m", "at": "2026-11-20", "outcome": "no"}, None),
        ({"card": "c", "order": "accepted"}, None),
        ({"card": "c", "order": "changed", "suggestion": "s", "at": "2026-11-20T09:00:00Z"}, None),
        ({"event": "death", "completeThrough": "2026-11-20"}, None),
        ({}, "prediction"),
        ({"prediction": "d", "patient": "p", "outcome": "yes"}, "patient"),
        ({"prediction": "d"}, "outcome"),
        ({"prediction": "d", "outcome": "yes", "event": "death"}, "event"),
        ({"patient": "p", "event": "death"}, "at"),
        ({"patient": "p", "at": "2026-11-20"}, "event"),
        ({"patient": "p", "at": "2026-11-20", "event": "death", "model": "m"}, "event"),
        ({"patient": "p", "at": "2026-11-20", "event": "death", "outcome": "unknown"}, "outcome"),
        ({"patient": "p", "at": "2026-11-20", "event": "death", "order": "accepted"}, "order"),
        ({"card": "c"}, "order"),
        ({"card": "c", "order": "accepted", "model": "m"}, "model"),
        ({"completeThrough": "2026-11-20"}, "event"),
        ({"event": "death", "completeThrough": "2026-11-20T09:00:00Z"}, "completeThrough"),
        ({"event": "death", "completeThrough": "2026-11-20", "at": "2026-11-20"}, "at"),
        ({"prediction": " ", "outcome": "yes"}, "prediction"),
        ({"prediction": "x" * 256, "outcome": "yes"}, None),
        ({"prediction": "x" * 257, "outcome": "yes"}, "prediction"),
        ({"prediction": "a\nb", "outcome": "yes"}, "prediction"),
        ({"prediction": "d", "outcome": "yes", "at": "2026-02-30"}, "at"),
        ({"prediction": "d", "outcome": "yes", "at": "2026-11-20T09:00:00"}, "at"),
        ({"prediction": "d", "outcome": "yes", "at": "yesterday"}, "at"),
    ],
)
def test_a_report_has_the_members_of_what_it_is_about(members: Json, member: str | None) -> None:
    report = Report(**members)
    if member is None:
        assert checked_report(report) == report
        return
    with pytest.raises(WrongReport) as refused:
        checked_report(report)
    assert refused.value.member == member


@pytest.mark.parametrize(
    ("at", "plain", "span"),
    [
        ("2026-11-20", "2026-11-20", (1_795_132_800_000_000, 1_795_219_199_999_999)),
        ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z", (1_795_165_200_000_000,) * 2),
        ("2026-11-20t10:00+01:00", "2026-11-20T09:00:00Z", (1_795_165_200_000_000,) * 2),
        ("2026-11-20T09:00:00.5Z", "2026-11-20T09:00:00.500000Z", (1_795_165_200_500_000,) * 2),
    ],
)
def test_a_day_is_24_hours_long_and_an_instant_is_in_utc(at: str, plain: str, span: tuple[int, int]) -> None:
    report = checked_report(Report(prediction="d", outcome="yes", at=at))
    assert report.at == plain
    assert span_of(plain) == span


def test_a_body_has_at_least_one_and_at_most_a_thousand_reports() -> None:
    def body(count: int) -> bytes:
        return msgspec.json.encode({"outcomes": [{"prediction": "d", "outcome": "yes"}] * count})

    assert len(read_reports(body(1))) == 1
    assert len(read_reports(body(1000))) == 1000
    with pytest.raises(PayloadTooLarge):
        read_reports(body(1001))
    with pytest.raises(BadRequest, match="empty list"):
        read_reports(body(0))
    with pytest.raises(BadRequest, match="no list of outcomes"):
        read_reports(b"{}")
    with pytest.raises(BadRequest, match="A report names one of"):
        read_reports(b'{"outcomes": [{}]}')


STAY: Json = {
    "resourceType": "Encounter", "class": {"code": "IMP"}, "status": "finished",
    "period": {"start": "2026-11-20"}, "subject": {"reference": "Patient/p1"},
}  # fmt: skip
RESULT: Json = {
    "resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "s", "code": "c"}]},
    "valueBoolean": True, "effectiveDateTime": "2026-11-20", "subject": {"reference": "Patient/p1"},
}  # fmt: skip
NAMES = {"s|c": "fall"}


@pytest.mark.parametrize(
    ("resource", "report"),
    [
        (STAY, {"patient": "p1", "event": "admission", "at": "2026-11-20"}),
        (STAY | {"class": {"code": "AMB"}}, None),
        (STAY | {"class": {"code": "ACUTE"}}, {"patient": "p1", "event": "admission", "at": "2026-11-20"}),
        (STAY | {"status": "planned"}, None),
        (STAY | {"subject": {"reference": "Group/1"}}, None),
        ({"resourceType": "Patient", "id": "p1"}, None),
        (
            {"resourceType": "Patient", "id": "p1", "deceasedDateTime": "2026-11-20"},
            {"patient": "p1", "event": "death", "at": "2026-11-20"},
        ),
        ({"resourceType": "Patient", "deceasedDateTime": "2026-11-20"}, None),
        (RESULT, {"patient": "p1", "event": "fall", "at": "2026-11-20"}),
        (RESULT | {"valueBoolean": False}, {"patient": "p1", "event": "fall", "at": "2026-11-20", "outcome": "no"}),
        (RESULT | {"status": "preliminary"}, None),
        (RESULT | {"valueBoolean": "true"}, None),
        (RESULT | {"effectiveDateTime": None}, None),
        ({"resourceType": "Group"}, None),
    ],
)
def test_a_resource_says_of_whom_what_happened_and_when(resource: Json, report: Json | None) -> None:
    assert _said_by(resource, NAMES) == report


def test_what_is_no_object_says_nothing() -> None:
    assert _subject({"subject": "Patient/p1"}) is _subject({"subject": {"reference": 7}}) is _subject({}) is None
    assert _subject({"subject": {"reference": "Patient/"}}) is None
    assert _admitted(STAY | {"class": "IMP"}) is _admitted(STAY | {"period": "x"}) is None
    assert _observed(RESULT, {}) == _observed(RESULT | {"code": "c"}, NAMES) == (None, None)
    assert _observed(RESULT | {"code": {"coding": ["x", {"system": "s", "code": "c"}]}}, NAMES) == ("fall", None)


@pytest.mark.parametrize(
    ("scores", "model"),
    [
        ({"id": "m", "probability": 0.1}, "m"),
        ({"id": "m", "probability": 0.0}, "m"),
        ({"id": "m"}, None),
        ({"probability": 0.1}, None),
        (None, None),
        ({"id": 7}, None),
    ],
)
def test_a_risk_is_of_a_model_with_a_probability(scores: Json | None, model: str | None) -> None:
    assert model_of(msgspec.json.encode({"scores": scores})) == model
    assert model_of(b"{]") is None
