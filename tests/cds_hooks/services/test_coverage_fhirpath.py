"""The FHIRPath of a payer's forms and the constraints of CRD's extension, run by an engine (fhirpathpy)."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fhirpathpy import evaluate as run_expression
from fhirpathpy.models import models

from cards.coverage.policy import load_policies
from cards.coverage.questionnaire import questionnaire
from tests.cds_hooks.services.coverage_calls import COPD, Json, ask, bundle, decided, extensions_of, saturation, visit
from tests.cds_hooks.services.crd_profiles import constraints
from tests.cds_hooks.services.test_coverage_look_alikes import CASES


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


@pytest.mark.outside_data
def test_the_constraints_of_the_extension_hold_by_an_engine(spec_folder: Path, tmp_path: Path) -> None:
    responses = asyncio.run(ask(tmp_path, {name: ([drafted], pool) for name, (drafted, pool, _) in CASES.items()}))
    rules = constraints(spec_folder / "crd", "ext-coverage-information")
    extensions = [entry for answer in responses.values() for notes in extensions_of(answer).values() for entry in notes]
    broken = [
        (key, decided(entry))
        for entry in extensions[::4]
        for key in (
            "crd-ci-q1",
            "crd-ci-q3",
            "crd-ci-q5",
        )  # q2 and q4 join elements, which this engine takes for faults
        if evaluate({"base": "Extension", "expression": rules[key]}, entry) == [False]
    ]
    assert broken == []
