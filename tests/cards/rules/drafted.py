"""Drafts in the words of orders, tests/cases/drafts: a chart in a few words, one draft, what is to be said of it.

A file holds cases of one field. `chart` is that of tests/cases/rules with shorter entries: `problems` are
[code or null, words, days ago], `labs` may be a name of `_LABS`, `takes` and `draft` are "product | sig", `procedures`
are [words, code, days ago], `genes` are [form, gene, words, more] (genetic.py), `allergies` [substance, reaction,
severity]. A draft that is an object has the form of tests/cases/rules; one in words is its own `id`.
`kind` is "silent" (none of `rules` has a finding, and no card is a warning), "missing" (none of them finds anything as
if the facts were known), or "fires", which need not be written (one has a finding, at least as severe as `at_least`).
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson

from cards.casebook.patients import PATIENT_ID, bundle_of, draft_of, record_of, without
from cards.orders import OrderOutcome, check_orders
from cards.rules.patient.orders import DraftOrder, read_drafts
from fhir.record.record import read_record
from fhir.record.resources import decoder
from tests.cards.rules.cases import findings, originals, uuids
from tests.cards.rules.genetic import genetic_results
from tests.conftest import ROOT
from tests.fhir.builders import problem

Json = dict[str, Any]
FOLDER = ROOT / "tests" / "cases" / "drafts"
_SHORT = ("problems", "takes", "procedures", "genes")
INDICATORS = ("info", "warning", "critical")
_LABS = {
    "usual": [["creatinine", 0.9, 2], ["body_weight", 80, 20], ["body_height", 178, 20]],
    "salts": [["creatinine", 0.9, 5], ["potassium", 4.2, 5], ["sodium", 139, 5]],
}
_ICD10 = re.compile(r"[A-Z]\d\w(?:\.\w+)?")


@cache
def drafted_cases() -> tuple[tuple[str, Json], ...]:
    """Every case with the name of its file."""
    written = ((path.stem, case) for path in sorted(FOLDER.glob("*.json")) for case in json.loads(path.read_text()))
    return tuple((name, {"kind": "fires", "chart": {}, "id": str(case["draft"])} | case) for name, case in written)


def outcome_of(case: Json, as_of: datetime) -> OrderOutcome:
    """What all rules say of the case's draft when it is signed; several tests ask, so it is kept."""
    key = (json.dumps(case, sort_keys=True), as_of)
    if key not in _OUTCOMES:
        _OUTCOMES[key] = _outcome_of(case, as_of)
    return _OUTCOMES[key]


_OUTCOMES: dict[tuple[str, datetime], OrderOutcome] = {}


def _outcome_of(case: Json, as_of: datetime) -> OrderOutcome:
    patient = _patient(case["chart"], as_of)
    drafts = read_drafts([{"resource": _order(case["draft"], "draft-1")}])
    whole = originals(bundle_of(patient, as_of))
    return check_orders(record_of(patient, as_of), drafts, None, uuids(), None, whole, signing=True)


def bundle_of_case(case: Json, as_of: datetime) -> Json:
    """The chart of the case as a searchset Bundle."""
    return bundle_of(_patient(case["chart"], as_of), as_of)


def outcome_after(case: Json, as_of: datetime, drafts: list[DraftOrder], bundle: Json) -> OrderOutcome:
    """What all rules say of these drafts before the chart of this Bundle."""
    patient = _patient(case["chart"], as_of)
    value = decoder.decode(orjson.dumps(bundle))
    record = without(read_record({"all": value}, PATIENT_ID, as_of), patient)
    return check_orders(record, drafts, None, uuids(), None, originals(bundle), signing=True)


def draft_resource(case: Json) -> Json:
    """The draft of the case as it is sent."""
    return _order(case["draft"], "draft-1")


def fault_of(case: Json, as_of: datetime) -> str | None:
    """What is not as the case says; None where everything is."""
    outcome = outcome_of(case, as_of)
    said = findings(outcome)
    own = [one for one in said if one[0] in case["rules"]]
    if case["kind"] == "fires":
        least = INDICATORS.index(case.get("at_least", "warning"))
        is_found = any(INDICATORS.index(indicator) >= least for _, _, indicator in own) or _not_covered(case, outcome)
        return None if is_found else f"nothing of {case['rules']}; said {said}"
    if own and not (case["kind"] == "missing" and all(one[2] == "info" for one in own)):
        return f"{own} found something"
    warned = [one for one in said if one[2] != "info"]
    if case["kind"] == "silent":
        return f"{warned} found something" if warned else None
    known = {"missing", "unknown", "not-sent"}
    open_ = [one for one in outcome.silences if known & set(one.reason.split("-"))]
    return None if own or open_ or _scope_names_unknown(outcome) else "nothing says that a fact is missing"


def _not_covered(case: Json, outcome: OrderOutcome) -> bool:
    return "not-covered" in case["rules"] and any(
        "checked here" in card.summary or "not recognized" in card.summary for card in outcome.cards
    )


def _scope_names_unknown(outcome: OrderOutcome) -> bool:
    return any(one.reason == "scope" and "Not known" in one.text for one in outcome.silences)


def _patient(chart: Json, as_of: datetime) -> Json:
    """The compact patient of the case's shorter chart."""
    patient = {name: value for name, value in chart.items() if name not in _SHORT}
    labs = chart.get("labs", [])
    patient["labs"] = _LABS[labs] if isinstance(labs, str) else labs
    patient["active"] = [_taken(one) for one in chart.get("takes", ())]
    patient["allergies"] = [_allergy(*one) if isinstance(one, list) else one for one in chart.get("allergies", ())]
    genes = genetic_results(chart.get("genes", []), as_of)
    patient["more"] = [*chart.get("more", ()), *genes, *_resources(chart, as_of)]
    return patient


def _resources(chart: Json, as_of: datetime) -> Iterator[Json]:
    for number, (code, words, *days) in enumerate(chart.get("problems", ())):
        onset = as_of - timedelta(days=days[0] if days else 300)
        yield problem(
            _concept(code, words), patient="case", id=f"problem-{number}", onsetDateTime=onset.date().isoformat()
        )
    for number, (words, code, days) in enumerate(chart.get("procedures", ())):
        yield {
            "resourceType": "Procedure", "id": f"procedure-{number}", "status": "completed",
            "code": _concept(code, words), "subject": {"reference": "Patient/case"},
            "performedDateTime": (as_of - timedelta(days=days)).date().isoformat(),
        }  # fmt: skip


def _allergy(substance: str, reaction: str = "", severity: str = "") -> Json:
    shown = {"manifestation": [{"text": reaction}]} | ({"severity": severity} if severity else {})
    return {"code": {"text": substance}} | ({"reaction": [shown]} if reaction else {})


def _concept(code: str | None, words: str) -> Json:
    if code is None:
        return {"text": words}
    system = "http://hl7.org/fhir/sid/icd-10-cm" if _ICD10.fullmatch(code) else "http://snomed.info/sct"
    return {"coding": [{"system": system, "code": code}], "text": words}


def _taken(entry: Any) -> Any:
    """ "product | sig", that with the days since it was ordered, or the compact form."""
    if isinstance(entry, dict):
        return entry
    words, days = (entry, 60) if isinstance(entry, str) else entry
    product, _, sig = (part.strip() for part in words.partition("|"))
    return {"drug": product, "days_ago": days, "more": {"dosageInstruction": [{"text": sig}]}}


def _order(words: Any, identity: str) -> Json:
    if isinstance(words, dict) and "rxnorm" in words:
        coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": words["rxnorm"]}
        named = {"coding": [coding], "text": words["drug"]}
        rest = {name: value for name, value in words.items() if name != "rxnorm"}
        return draft_of(rest | {"more": {"medicationCodeableConcept": named}}, identity)
    if isinstance(words, dict):
        return draft_of(words, identity)
    product, _, sig = (part.strip() for part in words.partition("|"))
    return draft_of({"drug": product, "more": {"dosageInstruction": [{"text": sig}]}}, identity)
