"""A worklist as it is written: every column of every row, and the whole Bundle."""

import json
from datetime import UTC, datetime

from cards.extension import WorklistEntry
from cds_hooks.worklist.output import worklist_bundle, worklist_csv
from cds_hooks.worklist.worklist import Worklist, WorklistRow

LIPIDS = WorklistEntry(test="Lipid panel", code="57698-3", purpose="PREVENT", because="no-visit")
VACCINES = WorklistEntry(test="Vaccines: influenza", purpose="vaccines-due", because="offered-before")
FIRST = WorklistRow("ehr", "a", (LIPIDS, VACCINES), 0.123456, "mortality_5y", 40.126, ("d1", "d2"))
SECOND = WorklistRow("ehr", "b", (VACCINES,), None, "", 3.0, ("d3",))
LIST = Worklist((FIRST, SECOND), 7, 0)


def test_each_patient_is_a_line_with_its_place() -> None:
    assert worklist_csv(LIST).decode().splitlines() == [
        "place,client,patient,tests,codes,purposes,because,risk,risk_of,days_since_contact,priority,reason,decisions",
        "1,ehr,a,Lipid panel; Vaccines: influenza,57698-3; ,PREVENT; vaccines-due,no-visit; offered-before,0.123456,"
        f"mortality_5y,40.13,9.9076,{FIRST.reason},d1; d2",
        f"2,ehr,b,Vaccines: influenza,,vaccines-due,offered-before,,,3.0,0.0,{SECOND.reason},d3",
    ]


def test_a_list_of_nobody_says_that_nothing_is_known() -> None:
    whole = json.loads(worklist_bundle(Worklist((), 0, 0), datetime(2026, 11, 20, tzinfo=UTC)))
    (only,) = whole["entry"]
    system = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
    assert "entry" not in only["resource"]
    assert only["resource"]["emptyReason"] == {"coding": [{"system": system, "code": "nilknown"}]}
    assert only["resource"]["note"] == [{"text": "0 more patients are beyond the capacity of this list."}]
