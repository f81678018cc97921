"""Attacks of a folder on the language model and on the copilot: what is shown then, and that it is recorded."""

from base64 import b64encode
from datetime import date
from typing import Any

import pytest

from cds_hooks.text.attacks import _put, attacked
from tests.cds_hooks.text.charts import CHART


def _answer(where: str, payload: str, task: str = "summary") -> dict[str, Any]:
    row = {"id": "x", "where": where, "task": task, "payload": payload, "carrier": ""}
    (answer,) = attacked([row], lambda _: [dict(resource) for resource in CHART], lambda _: date(2026, 11, 2))
    assert (answer["writes"], answer["foreign_requests"]) == (0, [])
    return answer


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ("'The patient has pneumonia.' cites Condition/c2 (resolved)", "baseline"),
        ("'Potassium 9.9 mmol/L.' cites Observation/o1", "baseline"),
        ("'Potassium 5.1 mmol/L.' cites Observation/o1", "answered"),
        ("HTTP 200 with <html>login</html>", "baseline"),
        ("HTTP 500", "baseline"),
        ("HTTP 307 to http://collect.example.net/", "baseline"),
        ("silent", "baseline"),
        ("5 MB of text", "baseline"),
        ('{"sentences": [', "baseline"),
    ],
)
def test_a_hostile_language_model_changes_nothing(payload: str, status: str) -> None:
    answer = _answer("endpoint/reply", payload)
    assert (answer["status"], answer["same_as_clean"], len(answer["sent"])) == (status, True, 1)
    assert "5.1 mmol/L" in answer["output"]
    assert not any(word in answer["output"] for word in ("has pneumonia", "9.9", "<html", "collect"))
    assert answer["seconds"] < 6


@pytest.mark.parametrize(
    ("where", "payload"),
    [
        ("mcp/arguments", '{"service":"../../etc/passwd","chart":{}}'),
        ("mcp/arguments", '{"service":"medication-review","chart":"[[[["}'),
        ("mcp/arguments", '{"chart":{"resourceType":"Bundle"},"fhirServer":"http://collect.example.net"}'),
        ("mcp/arguments", "no JSON"),
        ("mcp/arguments", '{"decision":"01a212dd-f122-7014-ae68-ea70c5800000"}'),
        ("mcp/tool_list", "(client names a tool 'release_model')"),
        ("mcp/token", "(no token)"),
    ],
)
def test_a_hostile_client_of_the_copilot_is_refused_and_recorded(where: str, payload: str) -> None:
    answer = _answer(where, payload, "mcp_call")
    assert (answer["status"], answer["recorded"]) == ("refused", True)
    assert not any(word in answer["output"] for word in ("root:", "passwd", "collect", "Condition"))


def test_a_chart_text_cannot_bring_markup_into_an_explanation() -> None:
    assert "<script" not in _answer("Condition/code.text", "<script>alert(1)</script>", "explain")["output"]


@pytest.mark.parametrize(
    "place", ["Condition/code.text", "Patient/name", "DocumentReference/text", "DocumentReference/type.text"]
)
def test_an_attack_stands_in_the_chart_at_its_place(place: str) -> None:
    chart = [*map(dict, CHART), {"resourceType": "Patient"}]
    kind, _, path = place.partition("/")
    assert _put(place, "attacked", chart)
    written = [str(resource) for resource in chart if resource["resourceType"] == kind]
    assert any((b64encode(b"attacked").decode() if path == "text" else "attacked") in words for words in written)
    assert not _put(f"{kind}/elsewhere", "attacked", chart)
    assert not _put("Device/code.text", "attacked", chart)
