"""Advice at patient-view that could harm: bleeding, a prognosis that knows no diagnoses, an index in acute illness.

A row is a sample patient with entries added, and why the service is silent then, or what its card says.
"""

from pathlib import Path
from typing import Any

from tests.cds_hooks.call.services.equation_calls import (
    Change,
    added,
    ago,
    answer,
    answer_of_site,
    condition,
    only_card,
    order,
    reasons,
    valued,
    without,
)
from tests.each import for_rows
from tests.fhir.builders import encounter, observation, procedure

LABORATORY = {"category": [{"coding": [{"code": "laboratory"}]}]}


def _change(sample: str, kind: str, *given: Any) -> Change:
    match kind, given:
        case "problem", (code, *days):
            recorded = {"recordedDate": ago(days[0])} if days else {}
            return added("conditions", condition(sample, code) | recorded)
        case "result", (code, value, unit):
            made = observation(code, value, unit, ago(5), patient=sample, id=f"added-{code}", **LABORATORY)
            return added("labs", made)
        case "procedure", (words, *cpt):
            coding = [{"system": "http://www.ama-assn.org/go/cpt", "code": code} for code in cpt]
            made = procedure({"text": words, "coding": coding}, when=ago(40), patient=sample, id="added-procedure")
            return added("procedures", made)
        case "drug", (code, words, status):
            return added("medications", order(sample, code, words) | {"status": status})
        case "stay", (first, last):
            period = {"start": ago(first), "end": ago(last)}
            return added("encounters", encounter("IMP", "finished", patient=sample, id="added-stay", period=period))
        case "without", codes:
            return without(*codes)
        case _:
            return valued(*given)


def _changes(sample: str, rows: list[list[Any]]) -> list[Change]:
    return [_change(sample, *row) for row in rows]


@for_rows(("service", "sample", "changes", "reason"))
def test_advice_that_could_harm_is_not_given(
    server_here: str, service: str, sample: str, changes: list[list[Any]], reason: str
) -> None:
    found = reasons(answer(server_here, service, sample, *_changes(sample, changes)))
    assert found
    assert reason in (*found, "")


@for_rows(("service", "sample", "changes", "summary", "text"))
def test_advice_that_helps_is_given_and_names_why(
    tmp_path: Path, service: str, sample: str, changes: list[list[Any]], summary: str, text: str
) -> None:
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    card = only_card(answer_of_site(folder, service, sample, *_changes(sample, changes)))
    assert summary.replace("{50}", ago(50)) in card["summary"]
    assert text in f"{card['detail']} {card['source']['label']} {card.get('suggestions', [])}"
    assert not text or card["extension"]["org.cds-hooks-onnx"]["facts"]


def test_the_sickest_are_offered_the_talk_without_a_number(tmp_path: Path) -> None:
    sample = "planning-talk"
    (card,) = answer_of_site(tmp_path, "planning-conversation", sample, _change(sample, "problem", "C78.7")).json()[
        "cards"
    ]
    assert "ASCO" in card["source"]["label"]
    assert "in 100" not in card["detail"]
    assert card["extension"]["org.cds-hooks-onnx"]["facts"][0]["source"].startswith("Condition/")
    (offer,) = card["suggestions"]
    assert offer["actions"][0]["resource"]["code"]["text"].startswith("Planning conversation")
