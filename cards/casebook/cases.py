"""Short cases of a rule (docs/rules/README.md): their form is checked, they are run, and missing ones are named."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from itertools import count
from typing import Any, Final

import msgspec

from cards.casebook.patients import bundle_of, concept_of, draft_of, drafts_of, record_of
from cards.orders import OrderOutcome, check_orders
from cards.rules.engine.family import rule_families
from cards.rules.engine.governance import all_rule_versions
from cards.rules.engine.rule_book import RuleBook, rule_book, whole_book
from cards.rules.language.table import read_table
from fhir.mapping.medications.identity import identify_concept
from fhir.record.datatypes import CodeableConcept
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS

Case = dict[str, Any]

AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
"""The instant of every short case: it says how many days ago things were."""

_JUDGED: Final = ["MedicationRequest/draft-1", "ServiceRequest/draft-1"]
_KINDS: Final = ("fires", "silent", "missing")
_CASE: Final = frozenset(
    {"id", "about", "kind", "patient", "draft", "beside", "hook", "silent", "quiet"}
    | {"band", "indicator", "says", "notes", "offers", "withheld", "also", "product"}
)
_PATIENT: Final = frozenset(
    {"age", "sex", "labs", "conditions", "active", "allergies", "ordered", "inpatient"}
    | {"crcl", "days_ago", "days_older", "more", "not_sent"}
)
_DRAFT: Final = frozenset({"drug", "dose", "times", "days", "refills", "route", "single", "as_needed", "test", "more"})
_ACTIVE: Final = _DRAFT | {"status", "undated", "days_ago", "ended"}


def waiting_bands() -> dict[str, frozenset[str]]:
    """Return the bands of each rule that show no card until a label was read, because only leads speak for them."""
    in_force = {rule.id: {band.declared.id for band in rule.bands} for rule in rule_book().rules}
    written = (rule for family in rule_families() for rule in read_table(family.name).rules)
    waiting = ((rule.id, frozenset(band.id for band in rule.bands) - in_force.get(rule.id, set())) for rule in written)
    return {rule: bands for rule, bands in waiting if bands}


def faults_of_case(rule: str, case: Case) -> list[str]:
    """Return what is not as the case says, in sentences, or nothing. What is wrong in its form comes first."""
    if wrong := list(_form_faults(rule, case)):
        return wrong
    faults = _answer_faults(rule, case)
    unknown = [drug for drug in _drugs(case) if not _is_recognised(drug)] if faults else []
    return [*faults, *(f"no drug is recognized in {drug!r}" for drug in unknown)]


def _form_faults(rule: str, case: Case) -> Iterator[str]:
    """Members and names that no case can have: they would be read as nothing, and the case would say something else."""
    declared = all_rule_versions()[rule].rule
    patient = case["patient"]
    active = [medication for medication in patient.get("active", ()) if isinstance(medication, dict)]
    yield from _unknown("a case", case, _CASE)
    yield from _unknown("a patient", patient, _PATIENT)
    for draft in (case["draft"], *case.get("beside", ())):
        yield from _unknown("a draft", draft, _DRAFT)
    for medication in active:
        yield from _unknown("an active medication", medication, _ACTIVE)
    yield from _unknown("`kind`", [case["kind"]], _KINDS)
    bands = {band.id for band in declared.bands} | {entry.id for entry in declared.missing_data}
    yield from _unknown(f"`about`: {rule}", [case["about"]], bands)
    if "quiet" in case:
        yield from _unknown(f"`quiet`: {rule}", [case["quiet"]], {entry.code for entry in declared.silent_when})
    conditions = [
        condition if isinstance(condition, str) else condition[0] for condition in patient.get("conditions", ())
    ]
    yield from _unknown("`conditions`: fhir/terminology/tables/condition_groups.csv", conditions, CONDITION_GROUPS)
    yield from _unknown(
        "`labs`: fhir/terminology/tables/analytes.csv", [lab[0] for lab in patient.get("labs", ())], ANALYTES
    )


def _unknown(owner: str, names: Iterable[str], known_names: Collection[str]) -> Iterator[str]:
    for name in names:
        if name not in known_names:
            near = get_close_matches(str(name), known_names, n=1) or sorted(known_names)
            yield f"{owner} has no {name!r}; {'did you mean' if len(near) == 1 else 'there are'} {', '.join(near)}"


def _drugs(case: Case) -> list[str]:
    """Return the drugs of the case as it names them; tests are none."""
    entries = [case["draft"], *case.get("beside", ()), *case["patient"].get("active", ())]
    named_drugs = [
        entry if isinstance(entry, dict) else {"drug": entry if isinstance(entry, str) else entry[0]}
        for entry in entries
    ]
    return [entry["drug"] for entry in named_drugs if "test" not in entry]


def _is_recognised(drug: str) -> bool:
    return bool(identify_concept(msgspec.convert(concept_of(drug), CodeableConcept)).ingredients)


def _answer_faults(rule: str, case: Case) -> list[str]:
    outcome = _outcome(rule, case)
    findings = [
        (finding.rule, finding.band, card.indicator)
        for card in outcome.cards
        for finding in card.own_extension.findings
    ]
    also = set(case.get("also", ()))
    findings = [finding for finding in findings if f"{finding[0]}/{finding[1]}" not in also]
    reasons = [silence.reason for silence in outcome.silences]
    if "silent" in case:
        faults = [f"found {name}/{band}, which the case does not expect" for name, band, _ in findings]
        there = ", ".join(dict.fromkeys(reasons)) or "none"
        missing = f"no silence for the reason {case['silent']}; the reasons are: {there}"
        return faults if case["silent"] in reasons else [*faults, missing]
    expected = (rule, case["band"], case["indicator"])
    if findings != [expected]:
        return [f"expected {'/'.join(expected)}, found {', '.join(map('/'.join, findings)) or 'nothing'}"]
    return list(_text_faults(case, outcome))


def missing_cases(rule: str, cases: Sequence[Case]) -> list[str]:
    """Return the cases that this rule still needs: of each band one of each kind, of each reason for silence one."""
    declared = all_rule_versions()[rule].rule
    if declared.template is not None:
        return []  # its bands are those of a table; what each row says is tested over the table
    kinds = {(case["about"], case["kind"]) for case in cases}
    lacking = [
        f"no {kind} case of {band.id}"
        for band in declared.bands
        # A band that is silence on purpose cannot fire.
        for kind in (_KINDS if band.indicator != "silent" else ("silent",))
        if (band.id, kind) not in kinds
    ]
    quiet = {case["quiet"] for case in cases if "quiet" in case}
    return lacking + [
        f"no case of the silence {entry.code}" for entry in declared.silent_when if entry.code not in quiet
    ]


def _outcome(rule: str, case: Case) -> OrderOutcome:
    bundle = bundle_of(case["patient"], AS_OF)
    beside = (draft_of(draft, f"beside-{position}") for position, draft in enumerate(case.get("beside", ())))
    drafts = drafts_of(draft_of(case["draft"]), *beside)
    originals = {f"{resource['resourceType']}/{resource.get('id')}": resource for resource in _resources(bundle)}
    record = record_of(case["patient"], AS_OF)
    signing = case.get("hook") != "order-select"
    return check_orders(record, drafts, _JUDGED, _names(), _family_book(rule), originals.get, signing=signing)


def _resources(bundle: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (entry["resource"] for entry in bundle["entry"])


@cache
def _family_book(rule: str) -> RuleBook:
    """Return the rules of one rule's family: what a case says is not changed by a rule of another family."""
    family = all_rule_versions()[rule].table.family
    return whole_book().of_families(lambda name: name == family)


def _names() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"uuid-{next(numbers)}"


def _text_faults(case: Case, outcome: OrderOutcome) -> Iterator[str]:
    card_text = "\n".join(f"{card.summary}\n{card.detail}" for card in outcome.cards).lower()
    for words in (*case.get("says", ()), *case.get("notes", ())):
        if words.lower() not in card_text:
            yield f"the card does not say {words!r}"
    offers = [
        f"{'* ' if suggestion.is_recommended else ''}{suggestion.label}" for suggestion in outcome.cards[0].suggestions
    ]
    if "offers" in case and offers != case["offers"]:
        yield f"offers {offers}, not {case['offers']}"
    withheld = [silence.text for silence in outcome.silences if silence.reason == "suggestion-withheld"]
    for label in case.get("withheld", ()):
        if not any(text.startswith(label) for text in withheld):
            yield f"{label!r} is not withheld"
