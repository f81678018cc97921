"""Reports for machines."""

import json
from xml.etree import ElementTree

import pytest

from cds_hooks.kit.contract.report import as_junit, report_document
from tests.cds_hooks.kit.contract.conftest import Run
from tests.cds_hooks.kit.contract.good_server import GoodServer
from tests.cds_hooks.kit.contract.planting import put


def test_json_names_each_finding_with_row_statement_advice_and_place(good: GoodServer, run: Run) -> None:
    good.on_response = put("cards.0.summary", "x" * 150)
    document = json.loads(json.dumps(report_document(run("CARD"))))
    (finding,) = document["findings"]
    assert finding["row"] == "CARD-03"
    assert finding["level"] == "must"
    assert finding["statement"] == "summary is a string of fewer than 140 characters."
    assert finding["advice"].startswith("Say it in one sentence")
    assert finding["places"][0]["where"] == "cards[0].summary"
    assert finding["places"][0]["request"].startswith("POST /cds-services/greeter: patient-view for sample ")
    assert finding["times"] > len(finding["places"])
    assert document["exitCode"] == 1
    assert document["mustsFailed"] == 1


@pytest.mark.slow
def test_json_says_how_much_of_the_checklist_was_seen(run: Run) -> None:
    document = report_document(run())
    coverage = document["coverage"]
    assert coverage["rowsThatBindAService"] == 157
    assert coverage["visibleFromOutside"] == coverage["withACheck"] == 134
    assert coverage["held"] + coverage["failed"] + coverage["advice"] + coverage["not_seen"] == 134
    unseen = [row for row in document["rows"] if row["result"] == "not visible"]
    assert len(unseen) == 157 - 134
    assert all(row["reason"] for row in unseen)


@pytest.mark.slow
def test_junit_has_a_case_for_each_check_a_failure_for_a_must_and_says_why_one_was_skipped(
    good: GoodServer, run: Run
) -> None:
    good.fault = "charset refused"
    good.on_response = put("cards.0.indicator", "suc\x00cess")
    report = run()
    suite = ElementTree.fromstring(as_junit([report]))[0]  # noqa: S314 - written by the kit itself
    cases = suite.findall("testcase")
    assert len(cases) == len(report.outcomes) == int(suite.attrib["tests"])
    failed = [case for case in cases if case.find("failure") is not None]
    assert [case.attrib["name"].split()[0] for case in failed] == ["CARD-08"]
    assert suite.attrib["failures"] == "1"
    advised = [case for case in cases if case.find("system-out") is not None]
    assert "GEN-11" in {case.attrib["name"].split()[0] for case in advised}
    skipped = [case.find("skipped") for case in cases if case.find("skipped") is not None]
    assert len(skipped) == int(suite.attrib["skipped"])
    assert all(case is not None and case.attrib["message"] for case in skipped)
