"""The cases of tests/cases/rules, one file for each rule; docs/rules/README.md explains their form."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from itertools import count
from typing import Any

import msgspec
import pytest

from cards.casebook.cases import waiting_bands
from cards.orders import OrderOutcome, check_orders
from cards.rules.engine.rule_book import RuleBook, rule_book
from cards.rules.patient.orders import DraftOrder, read_drafts
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of
from tests.conftest import ROOT
from tests.each import for_each, some_of

FOLDER = ROOT / "tests" / "cases" / "rules"
Case = dict[str, Any]
JUDGED = ["MedicationRequest/draft-1", "ServiceRequest/draft-1"]
"""The draft of a case; those beside it count as partners only."""


@cache
def all_cases() -> list[tuple[str, Case]]:
    """Every case with the id of its rule, without those of what waits until its label was read."""
    waiting = waiting_bands()
    written = ((path.stem, case) for path in sorted(FOLDER.glob("*.json")) for case in json.loads(path.read_text()))
    return [(rule, case) for rule, case in written if case["about"] not in waiting.get(rule, ())]


CaseTest = Callable[[str, Case, datetime], None]


def every_case(*kinds: str, every: int = 1) -> Callable[[CaseTest], Callable[[str, datetime], None]]:
    """Runs a test over the cases of these kinds ("fires", "silent", "missing"; none: all), one test for each family.

    `make test` asks one of so many of each family (`every`). What fails names each case that failed.
    """
    families = {one.id: one.family.name for one in rule_book().rules}
    chosen: dict[str, list[tuple[str, tuple[str, Case]]]] = {}
    for rule, case in all_cases():
        if not kinds or case["kind"] in kinds:
            name = f"{rule}/{case['about']}: {case['id']}"
            chosen.setdefault(families.get(rule, rule), []).append((name, (rule, case)))

    def decorate(test: CaseTest) -> Callable[[str, datetime], None]:
        @pytest.mark.parametrize("family", sorted(chosen))
        def of_family(family: str, as_of: datetime) -> None:
            for_each(some_of(chosen[family], every), lambda rule, case: test(rule, case, as_of))

        of_family.__doc__ = test.__doc__
        return pytest.mark.sampled(of_family) if every > 1 else of_family

    return decorate


def uuids() -> Callable[[], str]:
    """Names for cards, suggestions and orders, the same in every run."""
    numbers = count(1)
    return lambda: f"uuid-{next(numbers)}"


@cache
def family_book(rule: str) -> RuleBook:
    """The rules of one rule's family: what a case says is not changed by a rule of another family."""
    family = next(one.family.name for one in rule_book().rules if one.id == rule)
    return rule_book().of_families(lambda name: name == family)


def check(
    record: PatientRecord,
    drafts: list[DraftOrder],
    judged: list[str] | None = None,
    book: RuleBook | None = None,
    *,
    signing: bool = True,
) -> OrderOutcome:
    """The outcome for all drafts, or those named, by all rules or those of the book, at signing or at selection."""
    return check_orders(record, drafts, judged, uuids(), book, signing=signing)


def originals(bundle: dict[str, Any]) -> Callable[[str], dict[str, Any] | None]:
    """The resources of a Bundle by their reference."""
    whole = [entry["resource"] for entry in bundle.get("entry", ())]
    return {f"{one['resourceType']}/{one.get('id')}": one for one in whole}.get


def check_case(case: Case, as_of: datetime, book: RuleBook | None = None) -> OrderOutcome:
    """The outcome of a case by all rules, or those of a book that lives as long; many tests ask, so it is kept."""
    key = (json.dumps(case, sort_keys=True), as_of, id(book))
    if key not in _CHECKED:
        _CHECKED[key] = check_case_anew(case, as_of, book)
    return _CHECKED[key]


_CHECKED: dict[tuple[str, datetime, int], OrderOutcome] = {}


def check_case_anew(case: Case, as_of: datetime, book: RuleBook | None) -> OrderOutcome:
    """The same of a book that is made for this question: another could have its place in memory later."""
    bundle = bundle_of(case["patient"], as_of)
    record = record_of(case["patient"], as_of)
    signing = case.get("hook") != "order-select"
    return check_orders(record, drafts_of_case(case), JUDGED, uuids(), book, originals(bundle), signing=signing)


def resources_of_case(case: Case) -> list[dict[str, Any]]:
    """The draft that is judged, then those beside it."""
    beside = (draft_of(one, f"beside-{position}") for position, one in enumerate(case.get("beside", ())))
    return [draft_of(case["draft"]), *beside]


def drafts_of_case(case: Case) -> list[DraftOrder]:
    """The same as they arrive."""
    return drafts_of(*resources_of_case(case))


def findings(outcome: OrderOutcome) -> list[tuple[str, str, str]]:
    """Rule, band and indicator of everything that was found."""
    return [
        (finding.rule, finding.band, card.indicator)
        for card in outcome.cards
        for finding in card.own_extension.findings
    ]


def reasons(outcome: OrderOutcome) -> list[tuple[str, str]]:
    """Subject and reason of everything that was not said."""
    return [(silence.subject, silence.reason) for silence in outcome.silences]


def texts(outcome: OrderOutcome) -> str:
    """Everything a clinician reads."""
    return "\n".join(f"{card.summary}\n{card.detail}" for card in outcome.cards)


def silence_of(rule: str, outcome: OrderOutcome) -> WhyNot | None:
    """Why a rule said nothing."""
    return next((one for one in outcome.silences if one.subject == rule), None)


def accepted(outcome: OrderOutcome, resources: list[dict[str, Any]]) -> Iterator[tuple[str, list[DraftOrder]]]:
    """For each suggestion its label and the drafts after a client has carried out all its actions."""
    for card in outcome.cards:
        for suggestion in card.suggestions:
            after = list(resources)
            for action in suggestion.actions:
                if action.type == "delete":
                    after = [one for one in after if f"{one['resourceType']}/{one.get('id')}" != action.resource_id]
                elif action.type == "update":
                    # An active order that is changed or stopped is a draft of the session until it is signed.
                    updated = action.resource or {}
                    after = [one for one in after if one.get("id") != updated["id"]] + [updated]
                else:
                    after.append(action.resource or {})
            wire = msgspec.json.decode(msgspec.json.encode(after))
            yield suggestion.label, read_drafts([{"resource": one} for one in wire])
