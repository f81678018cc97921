"""What was another when a decision was made, in sentences, and what a replay at a site of its own settings has."""

from datetime import UTC, datetime
from typing import Any

from cds_hooks.configuration import Content
from cds_hooks.hold_back.releases import Released
from cds_hooks.replay.comparing import causes, mentioned, response_for_comparison
from cds_hooks.replay.site import _without_rules

DAY, NEXT = datetime(2026, 11, 20, 23, 59, tzinfo=UTC), datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
THEN: Content = {
    "model": {"m": "1", "other": "1"}, "rule": {"r": "a", "s": "a"}, "setting": {"CDS_ALERT_SHARE": 0.1},
    "knowledge": {"b.csv": "1", "a.csv": "1", "c.csv": "1"}, "code": {"cards": "1"}, "site": {"quiet": "1"},
    "release": {"model m": "shadow"},
}  # fmt: skip


def test_nothing_that_is_another_is_said_too() -> None:
    assert causes(THEN, THEN, ("m",), DAY, DAY) == (
        "nothing that is in force has changed: what was remembered then is not all on record, or this is a fault",
    )
    assert causes(THEN, THEN, (), DAY, NEXT) == ("day: recorded as of 2026-11-20, replayed as of 2026-11-21",)


def test_of_models_and_rules_those_that_the_decision_mentions_are_causes() -> None:
    now: Content = {
        "model": {"m": "2", "other": "2"}, "rule": {"r": "b"}, "setting": {},
        "knowledge": {"b.csv": "2", "a.csv": "2", "c.csv": "1"}, "code": {"cards": "2", "fhir": "1"},
        "site": {"quiet": "2"}, "release": {"model m": "live"},
    }  # fmt: skip
    assert causes(THEN, now, ("m", "s"), NEXT, DAY) == (
        "day: recorded as of 2026-11-21, replayed as of 2026-11-20",
        "model m: was 1, is 2",
        "rule s: was a, is not there",
        "rules file quiet: was 1, is 2",
        "release of model m: was shadow, is live",
        "setting CDS_ALERT_SHARE: was 0.1, is not set",
        "knowledge changed: a.csv, b.csv",
        "code changed: cards, fhir",
    )


def test_an_answer_is_compared_without_timings_and_signatures() -> None:
    response = (
        b'{"cards": [{"links": [{"url": "https://x.example/open/0190a1b2-0000-7000-8000-000000000000/'
        + b"a" * 32
        + b'"}], "summary": "s"}, {"links": null}],'
        b' "extension": {"org.cds-hooks-onnx": {"timings": {"read": 1}, "decision": "d"}, "other": 1}}'
    )
    read = response_for_comparison(response)
    assert read["extension"] == {"org.cds-hooks-onnx": {"decision": "d"}, "other": 1}
    assert read["cards"] == [
        {"links": [{"url": "https://x.example/open/0190a1b2-0000-7000-8000-000000000000"}], "summary": "s"},
        {"links": None},
    ]
    assert response_for_comparison(b'{"cards": null}') == {"cards": None}
    assert mentioned(read) == set()


def test_rules_that_are_tried_are_as_if_nobody_had_ever_said_anything_of_them() -> None:
    states: dict[tuple[str, str], Any] = {("rule", "r"): "s1", ("rule", "q"): "s2", ("model", "r"): "s3"}
    paused: dict[tuple[str, str, str], Any] = {
        ("rule", "r", "e"): "p1",
        ("model", "r", "e"): "p2",
        ("rule", "q", "e"): "p3",
    }
    released = Released(states=states, paused=paused)
    found: Any = _without_rules(released, {"r"})
    assert found.states == {("rule", "q"): "s2", ("model", "r"): "s3"}
    assert found.paused == {("model", "r", "e"): "p2", ("rule", "q", "e"): "p3"}
