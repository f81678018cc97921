"""What is found in a document with a fault, and how it is said, is what was written down and read."""

import json

from cds_hooks.kit.contract.document import Subject
from tests.cds_hooks.kit.contract.findings import FINDINGS, all_findings, findings, good_response
from tests.cds_hooks.kit.contract.good_server import GoodServer


def test_nothing_is_found_in_the_good_documents() -> None:
    for dialect in ("standard", "epic"):
        assert findings(Subject.RESPONSE, good_response(), dialect) == []
    assert findings(Subject.DISCOVERY, GoodServer()._services()) == []


def test_what_is_found_of_each_planted_fault_is_what_was_written_down() -> None:
    assert all_findings() == json.loads(FINDINGS.read_text(encoding="utf-8"))
