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
from tests.cds_hooks.kit.contract.planting import Planted

FINDINGS = Path(__file__).parent / "files" / "findings.json"
DRAFT = {"resourceType": "ServiceRequest", "id": "d1", "status": "draft", "intent": "order"}
CALL = {"context": {"patientId": "p1", "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": DRAFT}]}}}


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
    return {
        f"{planted.row} {planted.what}": findings(subject, document, planted.dialect)
        for planted, subject, document in planted_documents()
    }


if __name__ == "__main__" and "--write" in sys.argv:
    FINDINGS.write_text(json.dumps(all_findings(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
