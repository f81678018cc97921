"""What the checks of documents find in the documents of the good server with one fault each, written down whole.

`python -m tests.cds_hooks.kit.contract.findings --write` writes `files/findings.json` anew: what changes in it is what
an author of a server reads, so it is read as text before it is committed.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

from cds_hooks.kit.contract.document import Node, Subject
from cds_hooks.kit.contract.report import Outcome
from cds_hooks.kit.contract.run import check_document, select_checks
from tests.cds_hooks.kit.contract.good_advice import advice
from tests.cds_hooks.kit.contract.good_server import GoodServer
from tests.cds_hooks.kit.contract.planted import ALL
from tests.cds_hooks.kit.contract.planting import Planted, both, put

FINDINGS = Path(__file__).parent / "files" / "findings.json"
DRAFT = {"resourceType": "ServiceRequest", "id": "d1", "status": "draft", "intent": "order"}
CALL = {"context": {"patientId": "p1", "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": DRAFT}]}}}


_ACTION = "cards.0.suggestions.0.actions.0"
_RECOMMENDED = ({"label": "a", "isRecommended": True}, {"label": "b", "isRecommended": True})
FURTHER = {
    "two recommended of which one can be chosen": both(
        put("cards.0.suggestions", list(_RECOMMENDED)), put("cards.0.selectionBehavior", "at-most-one")
    ),
    "two recommended of which any can be chosen": put("cards.0.suggestions", list(_RECOMMENDED)),
    "one recommended of which one can be chosen": both(
        put("cards.0.suggestions", [_RECOMMENDED[0], {"label": "b", "isRecommended": False}]),
        put("cards.0.selectionBehavior", "at-most-one"),
    ),
    "an update without an id": put(_ACTION, {"type": "update", "resource": {"resourceType": "Task"}}),
    "an update of a string": put(_ACTION, {"type": "update", "resource": "Task/1"}),
    "an update with a resourceId": put(
        _ACTION, {"type": "update", "resource": {"resourceType": "Task", "id": "1"}, "resourceId": "Task/1"}
    ),
    "a delete with an id alone": put(_ACTION, {"type": "delete", "description": "x", "resourceId": "Task"}),
    "a delete with a blank id": put(_ACTION, {"type": "delete", "description": "x", "resourceId": "Task/ "}),
    "a delete of another type": put(_ACTION, {"type": "delete", "description": "x", "resourceId": "Tasks/1"}),
    "a delete with a long id": put(_ACTION, {"type": "delete", "description": "x", "resourceId": f"Task/{'1' * 80}"}),
    "a delete of what R4 has": put(_ACTION, {"type": "delete", "description": "x", "resourceId": "Task/1"}),
    "an id of 65 letters": put(f"{_ACTION}.resource.id", "x" * 65),
    "an id of 64 letters": put(f"{_ACTION}.resource.id", "x" * 64),
    "a reference to nothing contained": put(f"{_ACTION}.resource.subject.reference", "#p"),
    "a reference to what is contained": both(
        put(f"{_ACTION}.resource.contained", [{"resourceType": "Patient", "id": "p"}]),
        put(f"{_ACTION}.resource.subject.reference", "#p"),
    ),
    "a reference that is a number": put(f"{_ACTION}.resource.subject.reference", 5),
    "no value in an array of a resource": put(f"{_ACTION}.resource.note", [None, {"text": "x"}]),
    "no value in an array of a card": put("cards.0.links", [None]),
    "no cards": put("cards", []),
    "no links": put("cards.0.links", []),
    "a summary of 139 characters": put("cards.0.summary", "x" * 139),
    "a detail of 20,000 characters": put("cards.0.detail", "x" * 20_000),
    "a detail of 20,001 characters": put("cards.0.detail", "x" * 20_001),
    "launch in a smart link": put("cards.0.links.1.url", "https://good.example/app?launch=1"),
    "launch in an absolute link": put("cards.0.links.0.url", "https://good.example/app?launch=1"),
}
"""Documents at the borders of the checks: faults, and what is none."""


def planted_documents() -> Iterator[tuple[Planted, Subject, Any]]:
    """Yield every fault of a document that changes it, with what the document is."""
    for planted in ALL:
        if planted.discovery:
            yield planted, Subject.DISCOVERY, planted.discovery(GoodServer()._services())
        if planted.response:
            yield planted, Subject.RESPONSE, planted.response(good_response())


def good_response() -> Any:
    """The good server's response to a call with a draft, whose identifiers count upwards."""
    uuids = (UUID(int=number + (4 << 76) + (8 << 60)) for number in itertools.count(1))
    with mock.patch(f"{advice.__module__}.uuid4", side_effect=uuids):
        habits: Any = GoodServer()
        habits.base = "https://good.example"
        return advice(habits, CALL, {})


def findings(subject: Subject, document: Any, dialect: str = "standard") -> list[str]:
    """Return what is found, one line for each fault: the row, the level, the check, the place and the sentence."""
    outcomes = [Outcome(check) for check in select_checks((), dialect) if isinstance(check.subject, Subject)]
    check_document(subject, Node(document), outcomes)
    return [
        f"{outcome.check.row} {outcome.check.level} {outcome.check.name} at {fault.location or '/'}: {fault.message}"
        for outcome in outcomes
        for fault in outcome.faults
    ]


def all_findings() -> dict[str, list[str]]:
    """Return the findings of every planted fault."""
    further = {name: findings(Subject.RESPONSE, change(good_response())) for name, change in FURTHER.items()}
    return further | {
        f"{planted.row} {planted.what}": findings(subject, document, planted.dialect)
        for planted, subject, document in planted_documents()
    }


if __name__ == "__main__" and "--write" in sys.argv:
    FINDINGS.write_text(json.dumps(all_findings(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
