"""Whole requests of tests/cases/requests, written from the rules' sources by one who did not write the rules.

`cds-hooks rules check tests/cases/requests` asks the server the same; here every finding and its severity must be as
stated, and accepting a suggestion must leave less to say.
"""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from cards.compose.orders import OrderOutcome
from cards.rules.patient.orders import read_drafts
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import accepted, check, findings
from tests.conftest import ROOT
from tests.each import for_rows

Json = dict[str, Any]
FILES = sorted((ROOT / "tests" / "cases" / "requests").glob("*.json"))
every_request = for_rows("path", FILES, ids=[path.stem for path in FILES])


@cache
def _case(path: Path) -> Json:
    case: Json = json.loads(path.read_text())
    return case


def _record(case: Json) -> PatientRecord:
    request = case["request"]
    prefetch = {key: decoder.decode(orjson.dumps(value)) for key, value in request["prefetch"].items()}
    return read_record(prefetch, request["context"]["patientId"], datetime.fromisoformat(case["as_of"]))


def _drafts(case: Json) -> list[Json]:
    return [entry["resource"] for entry in case["request"]["context"]["draftOrders"]["entry"]]


@cache
def _outcome(path: Path) -> OrderOutcome:
    case = _case(path)
    drafts = read_drafts([{"resource": one} for one in _drafts(case)])
    return check(_record(case), drafts, signing=case["request"]["hook"] == "order-sign")


@every_request
def test_what_is_found_is_what_the_source_says(path: Path) -> None:
    expected = {(one["rule"], one["band"], one["indicator"]) for one in _case(path)["expected"]["findings"]}
    assert set(findings(_outcome(path))) == expected


def test_accepting_a_suggestion_leaves_less_to_say_and_nothing_new() -> None:
    tried = 0
    for path in FILES:
        case, outcome = _case(path), _outcome(path)
        before = {one[:2] for one in findings(outcome)}
        signing = case["request"]["hook"] == "order-sign"
        for label, after in accepted(outcome, _drafts(case)):
            tried += 1
            left = {one[:2] for one in findings(check(_record(case), after, signing=signing))}
            assert left < before, (path.stem, label)
    assert tried >= 60
