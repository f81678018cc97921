"""Charts with drafts of tests/cases/requests.jsonl, written from the rules' sources and not from the rules.

The form is that of `tests/cases/calls.jsonl` (tests/written_calls.py). Every finding and its severity must be as
stated; `suggestions` is how many are offered, and accepting one must leave less to say.
"""

import json
from typing import Any

import orjson

from cards.orders import OrderOutcome
from cards.rules.patient.orders import read_drafts
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import accepted, check, findings
from tests.cards.rules.pinned import AS_OF
from tests.conftest import ROOT
from tests.each import for_rows
from tests.written_calls import resources_of_rows

Json = dict[str, Any]
CASES = [
    json.loads(line) for line in (ROOT / "tests" / "cases" / "requests.jsonl").read_text(encoding="utf-8").splitlines()
]


def _record(case: Json) -> PatientRecord:
    entries = [{"resource": resource} for resource in resources_of_rows(case["chart"])]
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    return read_record({"all": decoder.decode(orjson.dumps(bundle))}, "written", AS_OF)


def _drafts(case: Json) -> list[Json]:
    return resources_of_rows(case["drafts"], status="draft")


def _outcome(case: Json) -> OrderOutcome:
    drafts = read_drafts([{"resource": draft} for draft in _drafts(case)])
    return check(_record(case), drafts, signing=case["hook"] == "order-sign")


@for_rows("case", CASES, ids=[case["id"] for case in CASES])
def test_what_is_found_is_what_the_source_says_and_an_accepted_suggestion_leaves_less(case: Json) -> None:
    outcome = _outcome(case)
    found = findings(outcome)
    assert set(found) == {(rule, band, indicator) for rule, band, indicator in case["findings"]}
    before = {finding[:2] for finding in found}
    offered = list(accepted(outcome, _drafts(case)))
    assert len(offered) == case.get("suggestions", 0)
    for label, after in offered:
        left = {one[:2] for one in findings(check(_record(case), after, signing=case["hook"] == "order-sign"))}
        assert left < before, label
