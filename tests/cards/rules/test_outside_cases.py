"""The published order cases whose rule is ours, re-sent as order-select with every draft selected."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from cards.compose import OrderOutcome
from cards.rules.draft import read_drafts
from cards.rules.engine import rule_book
from fhir.record.record import read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import accepted, check, findings, texts

Json = dict[str, Any]

OURS = {rule.id for rule in rule_book().rules}
# Bands that the case itself allows in place of the one it names.
ALTERNATIVES = {"oc-019": ("renal-metformin", "lt30", "warning")}
CODES = {
    "oc-012": "1100702",
    "oc-017": "2160-0",
    "oc-018": "2160-0",
    "oc-021": "1364445",
    "oc-022": "1364435",
    "oc-023": "1232082",
    "oc-028": "309112",
    "oc-029": "198440",
}


@pytest.fixture(scope="module")
def outside(data_folder: Path) -> list[Json]:
    """Every published case."""
    return [json.loads(path.read_text()) for path in sorted((data_folder / "cases" / "order-select").glob("oc-*.json"))]


def _outcome(case: Json) -> tuple[OrderOutcome, list[Json], Any]:
    request = case["request"]
    prefetch = {key: decoder.decode(orjson.dumps(value)) for key, value in request["prefetch"].items() if value}
    record = read_record(prefetch, request["context"]["patientId"], datetime.fromisoformat(case["as_of"]))
    drafts = read_drafts(request["context"]["draftOrders"]["entry"])
    return check(record, drafts, signing=request["hook"] == "order-sign"), [draft.resource for draft in drafts], record


def _expected(case: Json) -> set[tuple[str, str, str]]:
    found = {
        (one["rule"], one["band"], one["indicator"]) for one in case["expected"]["findings"] if one["rule"] in OURS
    }
    return {ALTERNATIVES[case["id"]]} if case["id"] in ALTERNATIVES else found


def _declared(rule: str, band: str) -> str:
    """The indicator of the rule's band in the table; missing data are info."""
    declared = next(one.declared for one in rule_book().rules if one.id == rule)
    return next((one.indicator for one in declared.bands if one.id == band), "info")


def _worst(expected: set[tuple[str, str, str]]) -> str:
    return min((one[2] for one in expected), key=["critical", "warning", "info"].index)


def test_every_case_of_our_rules_is_answered_as_published(outside: list[Json]) -> None:
    wrong = []
    ours = 0
    for case in outside:
        outcome, _, _ = _outcome(case)
        found, expected = {one[:2] for one in findings(outcome)}, _expected(case)
        pairs = {one[:2] for one in expected}
        never = {rule for rule in case["expected"]["must_not_fire"] if rule in OURS}
        allowed = case["expected"]["allowed_also"]
        ours += bool(expected or never)
        more = {
            one for one in found - pairs if _declared(*one) != "info" and not {one[0], "/".join(one)} & set(allowed)
        }
        silent = case["expected"]["silent"] and {one for one in found if not {one[0], "/".join(one)} & set(allowed)}
        fired = {one for one in found - pairs if one[0] in never or "/".join(one) in never}
        # A card is as loud as the worst that is found about its order.
        loud = {card.indicator for card in outcome.cards} == {_worst(expected)} if expected else True
        if pairs - found or more or silent or fired or not loud:
            wrong.append((case["id"], expected, findings(outcome)))
    assert wrong == []
    assert ours >= 18


def test_the_suggestion_carries_the_code_that_the_case_names(outside: list[Json]) -> None:
    for case in outside:
        if case["id"] in CODES:
            outcome, _, _ = _outcome(case)
            codes = {
                coding["code"]
                for card in outcome.cards
                for one in card.suggestions
                for action in one.actions
                if action.resource is not None
                for coding in (action.resource.get("medicationCodeableConcept") or action.resource["code"])["coding"]
            }
            assert CODES[case["id"]] in codes, case["id"]


def test_contradicting_values_are_both_on_the_card(outside: list[Json]) -> None:
    said = {case["id"]: texts(_outcome(case)[0]) for case in outside if case["id"] in ("oc-018", "oc-019", "oc-022")}
    assert "26.7" in said["oc-018"]
    assert "0.62" in said["oc-018"]
    assert "37.2" in said["oc-019"]
    assert "82.3" in said["oc-019"]
    assert "unstable" in said["oc-022"]


def test_each_suggestion_accepted_silences_the_real_patient_too(outside: list[Json]) -> None:
    tried = 0
    for case in outside:
        outcome, resources, record = _outcome(case)
        for label, after in accepted(outcome, resources):
            tried += 1
            # One suggestion answers one finding; what else was found about the order may stay, nothing may come.
            again = {one[:2] for one in findings(check(record, after))}
            assert again < {one[:2] for one in findings(outcome)}, f"{case['id']}: {label}"
    assert tried >= 20
