"""The service `liver-assessment` on charts that the samples do not have."""

from typing import Any

import pytest

from tests.cds_hooks.services.equation_calls import added, answer, changed, only_card, procedure, reasons, said, worded

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


@pytest.mark.parametrize("words", ["NASH", "Hepatic steatosis", "Class 2 obesity", "Steatosis of liver"])
def test_a_reason_for_the_liver_index_may_be_in_words(server_here: str, words: str) -> None:
    def unlisted(request: dict[str, Any]) -> None:
        request["prefetch"]["conditions"] = {"resourceType": "Bundle", "type": "searchset", "entry": []}

    assert reasons(answer(server_here, *LIVER, unlisted)) == ["outside-population"]
    assert only_card(answer(server_here, *LIVER, unlisted, added("conditions", worded("fatty-liver", words))))


def test_ast_of_a_haemolysed_sample_is_not_used(server_here: str) -> None:
    def haemolysed(resource: dict[str, Any]) -> None:
        resource["note"] = [{"text": "Specimen hemolyzed"}]

    silent = answer(server_here, *LIVER, changed("Observation", haemolysed, "1920-8"))
    assert "is from a haemolysed sample" in said(silent)
    assert silent.json()["cards"] == [] or "FIB-4 for liver fibrosis cannot" in silent.json()["cards"][0]["summary"]
