"""The kit fills FHIRPath tokens of 3.0 as a client does, and calls services that ask for such keys."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cds_hooks.kit.contract.charts import PatientChart, sample_charts
from cds_hooks.kit.contract.report import Report, Result
from cds_hooks.kit.contract.requests import conformant_requests, unfilled_keys, with_guessed_keys
from cds_hooks.kit.simulator.templates import fill, values_of
from tests.cds_hooks.kit.contract.conftest import AS_OF
from tests.cds_hooks.kit.contract.good_server import GoodServer
from tests.cds_hooks.kit.contract.habits import Json
from tests.each import for_rows

TODAY = date(2024, 9, 13)


def test_the_worked_example_of_the_specification(spec_folder: Path) -> None:
    context = json.loads((spec_folder / "examples/order-sign-context-fhirpath.json").read_text())["context"]
    templates = json.loads((spec_folder / "examples/discovery-prefetch-8.json").read_text())["prefetch"]
    queries = {key: fill(template, context, TODAY) for key, template in templates.items()}
    assert queries == {
        "meds": "Medication?_id=eVBXvKwrWZIkPmaGwY.s1hQ3,emvpHliA4OaUxXJ4wp6N.Ig3",
        "prescriber": None,
        "appointments-upcoming": f"Appointment?patient={context['patientId']}&date=gt2024-09-13&date=lt2025-09-13",
    }


@for_rows(
    "token", ["%later.id", "context", "%", "today()", "context.a.where(x)", "context.a.extension('u')", "patientId.id"]
)
def test_what_is_no_path_here_has_no_value(token: str) -> None:
    assert not values_of(token, {"a": {"id": "1"}}, {})


def _with_token(name: str) -> Callable[[Json], Json]:
    def change(discovery: Json) -> Json:
        for entry in discovery["services"]:
            if "prefetch" in entry:
                entry["prefetch"]["patient"] = f"Patient/{{{{context.{name}}}}}"
        return discovery

    return change


def test_a_wrong_token_is_told_and_hides_no_other_row(good: GoodServer, run: Callable[..., Report]) -> None:
    rows = ("PRE-02", "PRE-04", "PRE-06", "CARD-03", "REQ-03", "GEN-10", "RESP-01")
    good.on_discovery = _with_token("patientID")
    report = run(*rows, "TOK-02")
    assert [row.row.id for row in report.rows if row.result is Result.NOT_SEEN] == []
    assert {finding.row.id for finding in report.findings} == {"TOK-02"}
    assert any("as it may be meant" in str(fault) for finding in report.findings for fault in finding.faults) is False


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("Patient/{{context.patient}}", "patient"),
        ("Encounter/{{ encounterID }}", "encounter"),
        ("Practitioner/{{user.id}}", "user"),
    ],
)
def test_a_token_that_names_nothing_is_taken_for_what_its_words_mean(template: str, value: str) -> None:
    chart: PatientChart = next(each for each in sample_charts(AS_OF) if each.resources_of_type("Encounter"))
    entry = {"hook": "patient-view", "id": "x", "prefetch": {"key": template}}
    _, request = next(conformant_requests(entry, chart, AS_OF))
    assert unfilled_keys(entry, request) == {"key"}
    guessed = with_guessed_keys(entry, chart, request, AS_OF)["prefetch"]["key"]
    wanted = request["context"][f"{value}Id"].rpartition("/")[2]
    assert guessed["id"] == wanted
