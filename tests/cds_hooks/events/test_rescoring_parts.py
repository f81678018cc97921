"""What of the facts answers a prefetch key, which services read a fact, and when a discharge is one."""

from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks.events.effects import Fact
from cds_hooks.events.rescoring import ReadFacts, _is_discharge, codes_read, hook_of, prefetch_of
from cds_hooks.prefetch.template import Template

PATIENT = Template("patient", "Patient/{{context.patientId}}", "Patient", "the patient")
LABS = Template("labs", "Observation?patient={{context.patientId}}&code=s|1,s|2&_count=5", "Observation", "results")
PROBLEMS = Template("problems", "Condition?patient={{context.patientId}}", "Condition", "problems")


def test_the_codes_of_a_key_are_those_of_its_query() -> None:
    assert codes_read(LABS) == frozenset({"s|1", "s|2"})
    assert codes_read(PROBLEMS) is None


def _lab(number: int, code: str) -> tuple[str, str, dict[str, Any]]:
    return "Observation", f" {code} ", {"resourceType": "Observation", "id": f"o{number}"}


def test_a_prefetch_has_the_facts_of_its_type_and_codes() -> None:
    person = {"resourceType": "Patient", "id": "p"}
    chart = [("Patient", "", person), _lab(1, "s|1"), _lab(2, "s|3"), _lab(3, "s|3 s|2")]
    labs = [{"resource": resource} for _, _, resource in (chart[1], chart[3])]
    expected = {"patient": person, "labs": {"resourceType": "Bundle", "type": "searchset", "entry": labs}}
    assert prefetch_of([PATIENT, LABS, PROBLEMS], chart, ()) == expected


def test_what_did_not_come_is_left_out_unless_everything_of_its_type_came() -> None:
    assert prefetch_of([PATIENT, LABS, PROBLEMS], [], ("Condition", "Patient")) == {
        "problems": {"resourceType": "Bundle", "type": "searchset", "entry": []}
    }


@pytest.mark.parametrize(
    ("kind", "status", "is_discharge"),
    [
        ("Encounter", "finished", True),
        ("Encounter", "in-progress", False),
        ("Encounter", None, False),
        ("Procedure", "finished", False),
    ],
)
def test_a_discharge_is_a_finished_visit(kind: str, status: str | None, is_discharge: bool) -> None:
    assert _is_discharge(Fact("p", {"resourceType": kind, "id": "v", "status": status}, 1.0)) is is_discharge


def _service(*hooks: str) -> Any:
    return SimpleNamespace(answers=hooks, templates_read_for=lambda _version: [LABS, PROBLEMS])


def test_the_hook_of_an_event_is_the_view_of_a_patient_or_a_discharge() -> None:
    assert hook_of(_service("encounter-discharge", "patient-view")) == "patient-view"
    assert hook_of(_service("order-sign", "encounter-discharge")) == "encounter-discharge"
    assert hook_of(_service("order-sign")) is None


def _fact(kind: str, code: str = "", **more: Any) -> Fact:
    coding = [{"system": "s", "code": code}] if code else []
    return Fact("p", {"resourceType": kind, "id": "x", "code": {"coding": coding}} | more, 1.0)


def test_a_service_reads_the_facts_that_it_asks_for() -> None:
    services = {"view": _service("patient-view"), "discharge": _service("encounter-discharge"), "other": _service("x")}
    reads = ReadFacts(services, ["view", "discharge"], "2.0")
    assert reads(_fact("Observation", "1")) == ["view"]
    assert reads(_fact("Observation", "3")) == []
    assert reads(_fact("Condition")) == ["view"]
    assert reads(_fact("Encounter", status="finished")) == []
