"""The forms of payers: made of the criteria, packaged for an application, and taken back as evidence."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fhir.resources.R4B.questionnaire import Questionnaire
from fhirpathpy import evaluate as run_expression
from fhirpathpy.models import models

from cards.coverage.policy import load_policies
from cards.coverage.questionnaire import questionnaire, version_of
from tests.cds_hooks.call.services.coverage_calls import (
    COPD,
    SERVICE,
    Json,
    answer_of,
    ask,
    bundle,
    condition,
    coverage,
    entry_for,
    form_in,
    order,
    patient,
    request_of,
    response_to,
    result,
    saturation,
    visit,
)
from tests.cds_hooks.calls import client

RULES = load_policies()
BASE = "https://payer.example/cds-services/coverage-requirements"


def test_every_set_of_criteria_has_a_form_that_is_valid_fhir() -> None:
    medicare = RULES.payers["medicare"]
    for criteria in RULES.criteria.values():
        form = questionnaire(BASE, medicare, criteria)
        Questionnaire.model_validate(form)
        asked = [criterion.id for criterion in criteria.criteria if criterion.question]
        assert [item["linkId"] for item in form["item"]] == asked
        variables = {
            extension["valueExpression"]["name"] for extension in form["extension"] if "valueExpression" in extension
        }
        text = str(form["item"])
        assert {
            name for name in ("conditions", "observations", "procedures", "encounters") if f"%{name}" in text
        } == variables


def test_an_answered_form_is_evidence_at_the_next_call(tmp_path: Path) -> None:
    orders, chart = [order("E0652")], [patient(), coverage(), condition("I89.0")]
    open_answer = asyncio.run(ask(_new(tmp_path), {"x": (orders, chart)}))["x"]
    assert answer_of(open_answer)["covered"] == "conditional"
    form = form_in(open_answer)
    questions = {
        "affirmed": (orders, [*chart, response_to(form, "conservative")]),
        "in progress": (orders, [*chart, response_to(form, "conservative", status="in-progress")]),
        "an earlier version": (orders, [*chart, response_to(f"{form[:-1]}x", "conservative")]),
        "another criterion": (orders, [*chart, response_to(form, "swelling")]),
    }
    responses = asyncio.run(ask(_new(tmp_path), questions))
    assert {name: answer_of(response)["covered"] for name, response in responses.items()} == {
        "affirmed": "covered", "in progress": "conditional", "an earlier version": "conditional",
        "another criterion": "conditional",
    }  # fmt: skip
    assert all(answer_of(response)["pa-needed"] == "performpa" for response in responses.values())


def test_a_value_on_the_chart_goes_before_what_was_affirmed(tmp_path: Path) -> None:
    chart = [patient(), coverage(), condition("E11.9"), result("39156-5", 33, "kg/m2", "2026-11-01")]
    form = form_in(asyncio.run(ask(_new(tmp_path), {"x": ([order("43644")], chart)}))["x"])
    both = response_to(form, "treated", "bmi")
    heavy = [*chart[:3], result("39156-5", 37, "kg/m2", "2026-11-01")]
    responses = asyncio.run(
        ask(_new(tmp_path), {"light": ([order("43644")], [*chart, both]), "heavy": ([order("43644")], [*heavy, both])})
    )
    assert answer_of(responses["light"])["covered"] == "conditional"
    assert answer_of(responses["heavy"])["covered"] == "covered"


def test_a_value_that_leaves_a_criterion_open_does_not(tmp_path: Path) -> None:
    """Edema, which only the clinician told, takes the place of a hematocrit above 56 %, and nothing that of oxygen."""
    chart = [patient(), coverage(), visit(), result("4544-3", 45, "%", "2026-11-10")]
    form = form_in(asyncio.run(ask(_new(tmp_path), {"x": ([order("E1390")], chart)}))["x"])
    chart.append(response_to(form, "group-2"))
    enough = [saturation(91), result("2703-7", 70, "mm[Hg]", "2026-11-10", note=[{"text": "room air"}])]
    charts = {"little": [*chart, saturation(89)], "enough": [*chart, *enough]}
    responses = asyncio.run(ask(_new(tmp_path), {name: ([order("E1390")], rest) for name, rest in charts.items()}))
    answers = {name: answer_of(response)["covered"] for name, response in responses.items()}
    assert answers == {"little": "covered", "enough": "conditional"}


def _new(folder: Path) -> Path:
    path = folder / f"server-{len(list(folder.iterdir()))}"
    path.mkdir()
    return path


async def test_the_package_has_the_forms_that_a_note_or_a_canonical_names(tmp_path: Path) -> None:
    async with client(tmp_path, as_of=datetime(2026, 11, 20, 12, tzinfo=UTC)) as calls:
        chart = [patient(), coverage(), visit()]
        note = (await _ask_once(calls, order("E1390"), chart))["systemActions"][0]["resource"]
        path = f"/cds-services/{SERVICE}/Questionnaire"
        for parameter in (
            {"name": "order", "resource": note},
            {"name": "questionnaire", "valueCanonical": f"{BASE}/Questionnaire/medicare.oxygen"},
        ):
            body = {"resourceType": "Parameters", "parameter": [parameter]}
            answer = await calls.post(f"{path}/$questionnaire-package", json=body)
            assert answer.status_code == 200, answer.text
            (packed,) = answer.json()["parameter"]
            form = packed["resource"]["entry"][0]["resource"]
            assert form["id"] == "medicare.oxygen"
            assert form["version"] == version_of(RULES.criteria["oxygen"])
        assert (await calls.get(f"{path}/medicare.oxygen")).json()["resourceType"] == "Questionnaire"
        assert (await calls.get(f"{path}/medicare.nothing")).status_code == 404
        unknown = {"resourceType": "Parameters", "parameter": [{"name": "questionnaire", "valueCanonical": "x"}]}
        assert (await calls.post(f"{path}/$questionnaire-package", json=unknown)).status_code == 404
        assert (await calls.post(f"{path}/$questionnaire-package", json=[])).status_code == 400


async def _ask_once(calls: httpx.AsyncClient, draft: Json, chart: list[Json]) -> Json:
    entry = await entry_for(calls)
    answer: Json = (await calls.post(f"/cds-services/{entry['id']}", json=request_of(entry, [draft], chart))).json()
    return answer


# The FHIRPath of a payer's forms and the constraints of CRD's extension, run by an engine (fhirpathpy).


def evaluate(expression: Any, value: Json, variables: Mapping[str, Any] | None = None) -> Any:
    """What an engine makes of an expression."""
    return run_expression(value, expression, variables or {}, models["r4"])


def test_the_expressions_of_every_form_are_run_by_an_engine() -> None:
    rules = load_policies()
    chart: Mapping[str, list[Json]] = {"conditions": [COPD], "observations": [saturation(87)], "encounters": [visit()]}
    values: dict[str, Any] = {}
    for criteria in rules.criteria.values():
        form = questionnaire("https://payer.example", rules.payers["medicare"], criteria)
        names = [entry["valueExpression"]["name"] for entry in form["extension"] if "valueExpression" in entry]
        bundles = {name: bundle(chart.get(name, [])) for name in names}
        for group in form["item"]:
            for extension in group["item"][1].get("extension", ()):
                name = f"{criteria.id}/{group['linkId']}"
                values[name] = evaluate(extension["valueExpression"]["expression"], {}, bundles)
    assert values["oxygen/at-rest"] == ["87 %, 2026-11-10"]
    assert values["oxygen/visit"] == ["2026-10-30"]
    assert values["oxygen/sleep"] == values["oxygen/at-rest"], "the words are for the clinician to judge"
    assert values["cgm/diabetes"] == []
    assert len(values) > 20
