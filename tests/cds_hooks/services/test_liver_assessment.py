"""The service `liver-assessment` on charts that the samples do not have."""

from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.services.chart_cases import answers, patient, problem, result, stay, text_of
from tests.cds_hooks.services.equation_calls import (
    added,
    answer,
    changed,
    procedure,
    said,
)
from tests.fhir.builders import SNOMED, Json, concept

LIVER = ("liver-assessment", "fatty-liver")
CPT = "http://www.ama-assn.org/go/cpt"


@pytest.mark.parametrize(
    ("done", "is_assessment"),
    [
        (procedure("fatty-liver", "Ultrasound elastography of breast"), False),
        (procedure("fatty-liver", "Liver elastography", "stopped"), False),
        (procedure("fatty-liver", "Percutaneous biopsy of liver"), True),
        (procedure("fatty-liver", "", system=CPT, code="91200"), True),
        (procedure("fatty-liver", "Transient elastography"), True),
    ],
)
def test_only_an_examination_of_the_liver_is_one(server_here: str, done: dict[str, Any], is_assessment: bool) -> None:
    answered = answer(server_here, *LIVER, added("procedures", done))
    assert bool(answered.json()["cards"]) is not is_assessment


def test_ast_of_a_haemolysed_sample_is_not_used(server_here: str) -> None:
    def haemolysed(resource: dict[str, Any]) -> None:
        resource["note"] = [{"text": "Specimen hemolyzed"}]

    silent = answer(server_here, *LIVER, changed("Observation", haemolysed, "1920-8"))
    assert "is from a haemolysed sample" in said(silent)
    assert silent.json()["cards"] == [] or "FIB-4 for liver fibrosis cannot" in silent.json()["cards"][0]["summary"]


LABS = [result("1920-8", 80, "U/L"), result("1742-6", 50, "U/L"), result("777-3", 140, "10*3/uL")]
FATTY = problem("Fatty liver", "K76.0")


def coded_in_snomed(words: str, code: str) -> Json:
    return problem(words, when="2022-06-05") | {"code": concept(words, code, SNOMED)}


"""A man of 60 with FIB-4 of 4.85, and what is on his chart beside it: a card, or none."""
CHARTS: list[tuple[list[dict[str, Any]], bool]] = [
    ([FATTY], True),
    ([{name: value for name, value in problem("Fatty liver").items() if name != "onsetDateTime"}], True),
    ([result("39156-5", 36, "kg/m2")], True),
    ([result("39156-5", 27, "kg/m2")], False),
    ([FATTY, problem("Liver elastography declined by patient", "", "2026-10-12")], False),
    ([FATTY, stay("2026-10-29", "2026-11-04")], False),
    ([FATTY, stay("2026-08-29", "2026-09-04")], True),
    ([FATTY, problem("Chronic lymphocytic leukemia", "C91.10", when="2022-06-05")], False),
    ([FATTY, problem("Hodgkin lymphoma, in remission", "C81.9A", when="2022-06-05")], True),
    ([FATTY, problem("Acute myeloid leukemia", when="2022-06-05")], False),
    ([FATTY, problem("Acute myeloid leukemia in remission", when="2022-06-05")], True),
    ([FATTY, coded_in_snomed("Acute myeloid leukemia", "91861009")], False),
    ([FATTY, coded_in_snomed("Acute myeloid leukemia in remission", "91861009")], True),
]


def test_obesity_may_be_measured_and_values_of_a_stay_or_with_leukaemia_say_nothing_of_the_liver(
    tmp_path: Path,
) -> None:
    charts = [[patient(60, "male"), *LABS, *chart] for chart, _ in CHARTS]
    for answered, (chart, is_shown) in zip(answers(tmp_path, LIVER[0], charts), CHARTS, strict=True):
        assert ("FIB-4" in text_of(answered)) is is_shown, chart
