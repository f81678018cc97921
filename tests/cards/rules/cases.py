"""The cases of tests/cases/rules, one file for each rule; docs/rules/README.md explains their form."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Any

import msgspec
import pytest

from cards.compose import OrderOutcome, check_orders
from cards.rules.draft import Draft, read_drafts
from cards.rules.finding import Silence
from fhir.record.record import PatientRecord
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "cases" / "rules"
Case = dict[str, Any]


def all_cases() -> list[tuple[str, Case]]:
    """Every case with the id of its rule."""
    return [(path.stem, case) for path in sorted(FOLDER.glob("*.json")) for case in json.loads(path.read_text())]


def every_case(*kinds: str) -> pytest.MarkDecorator:
    """Parametrizes a test over the cases of these kinds ("fires", "silent", "missing"; none: all)."""
    chosen = [(rule, case) for rule, case in all_cases() if not kinds or case["kind"] in kinds]
    return pytest.mark.parametrize(
        ("rule", "case"), chosen, ids=[f"{rule}/{case['about']}: {case['id']}" for rule, case in chosen]
    )


def uuids() -> Callable[[], str]:
    """Names for cards, suggestions and orders, the same in every run."""
    numbers = count(1)
    return lambda: f"uuid-{next(numbers)}"


def check(record: PatientRecord, drafts: list[Draft], judged: list[str] | None = None) -> OrderOutcome:
    """The outcome for all drafts, or those named."""
    return check_orders(record, drafts, judged, uuids())


def check_case(case: Case, as_of: datetime) -> OrderOutcome:
    """The outcome of a case."""
    return check(record_of(case["patient"], as_of), drafts_of(draft_of(case["draft"])))


def findings(outcome: OrderOutcome) -> list[tuple[str, str, str]]:
    """Rule, band and indicator of everything that was found."""
    return [
        (finding["rule"], finding["band"], card.indicator)
        for card in outcome.cards
        for finding in (card.extension or {})["org.cds-hooks-onnx"]["findings"]
    ]


def reasons(outcome: OrderOutcome) -> list[tuple[str, str]]:
    """Subject and reason of everything that was not said."""
    return [(silence.subject, silence.reason) for silence in outcome.silences]


def texts(outcome: OrderOutcome) -> str:
    """Everything a clinician reads."""
    return "\n".join(f"{card.summary}\n{card.detail}" for card in outcome.cards)


def silence_of(rule: str, outcome: OrderOutcome) -> Silence | None:
    """Why a rule said nothing."""
    return next((one for one in outcome.silences if one.subject == rule), None)


def accepted(outcome: OrderOutcome, resources: list[dict[str, Any]]) -> Iterator[tuple[str, list[Draft]]]:
    """For each suggestion its label and the drafts after a client has carried out all its actions."""
    for card in outcome.cards:
        for suggestion in card.suggestions:
            after = list(resources)
            for action in suggestion.actions:
                if action.type == "delete":
                    after = [one for one in after if f"{one['resourceType']}/{one.get('id')}" != action.resource_id]
                elif action.type == "update":
                    updated = action.resource or {}
                    after = [updated if one.get("id") == updated["id"] else one for one in after]
                else:
                    after.append(action.resource or {})
            wire = msgspec.json.decode(msgspec.json.encode(after))
            yield suggestion.label, read_drafts([{"resource": one} for one in wire])
