"""The service `vaccines-due` and what a chart says beside the doses: allergies, immunity, refusals, formulations."""

from pathlib import Path
from typing import Any

from tests.cards.sentences import contradictions
from tests.cds_hooks.call.services.chart_cases import (
    allergy,
    answers,
    dose,
    patient,
    problem,
    reasons_of,
    result,
    text_of,
)

SERVICE = "vaccines-due"
Json = dict[str, Any]
FLU = dose("150", "2026-10-10")
OBJECTION = {"statusReason": {"coding": [{"code": "PATOBJ"}]}}
STOCK = {"statusReason": {"coding": [{"code": "OSTOCK"}]}}


def positive(loinc: str) -> Json:
    made = result(loinc, 1, "1")
    return {**{name: made[name] for name in made if name != "valueQuantity"}, "valueString": "Positive"}


# Somebody of an age with these entries: what the card says, and what it does not.
CHARTS: list[tuple[int, list[Json], str, str]] = [
    (62, [allergy("Shingrix")], "Contraindicated: Zoster because of an allergy: Shingrix", "Order Zoster"),
    (62, [allergy("shingles vaccine")], "Contraindicated: Zoster", "Order Zoster"),
    (62, [allergy("Prevnar 20")], "Contraindicated: Pneumococcal", "Order Pneumococcal"),
    (62, [allergy("MMR vaccine")], "Contraindicated: MMR", "Order MMR"),
    (62, [{**allergy("Shingrix"), "reaction": []}], "Check first: Shingrix", "Contraindicated"),
    (62, [allergy("peanut")], "Zoster**: due", "Contraindicated"),
    (45, [problem("Chronic viral hepatitis B", "B18.1")], "HepA", "HepB"),
    (45, [result("16935-9", 120, "mIU/mL"), problem("Type 2 diabetes", "E11.9")], "Pneumococcal", "HepB"),
    (45, [result("16935-9", 4, "mIU/mL"), problem("Type 2 diabetes", "E11.9")], "HepB", "nothing"),
    (45, [positive("20479-2"), positive("22415-4"), positive("25514-1")], "Influenza", "MMR"),
    (62, [dose("187", "2026-11-02", "not-done", **OBJECTION)], "Declined by the patient", "Order Zo"),
    (62, [dose("187", "2024-11-02", "not-done", **OBJECTION)], "Order Zoster", "Declined"),
    (62, [dose("187", "2026-11-02", "not-done", **STOCK)], "Order Zoster", "Declined"),
    (62, [problem("Shingles vaccine declined", when="2026-10-01")], "Declined by the patient", "Order Zo"),
    (70, [dose("109", "2025-07-10")], "the formulation of the dose of 2025-07-10 is not recorded", "nothing"),
    (64, [problem("Type 2 diabetes", "E11.9")], "Shared decision: HepB", "Order HepB"),
    (62, [], "Zoster**: due.", "2014"),
    (62, [{**allergy("influenza vaccine"), "reaction": []}], "Not now: Influenza", "Order Influenza"),
]  # fmt: skip


def test_allergies_immunity_refusals_and_formulations_are_read(tmp_path: Path) -> None:
    charts = [[patient(age, "male"), *entries] for age, entries, _, _ in CHARTS]
    for answer, (_, entries, words, absent) in zip(answers(tmp_path, SERVICE, charts), CHARTS, strict=True):
        text = text_of(answer)
        assert words in text, (entries, text)
        assert absent not in text, (entries, text)
        for card in answer["cards"]:
            labels = [offer["label"] for offer in card["suggestions"]]
            assert contradictions(card["summary"], card["detail"], labels) == set()


def test_doses_of_childhood_alone_interrupt_nobody(tmp_path: Path) -> None:
    vaccinated = [dose("115", "2024-06-05"), dose("03", "2002-04-02"), dose("03", "2004-12-27"), FLU]
    others = [dose(code, day) for code in ("21", "43") for day in ("2002-04-02", "2004-12-27", "2006-01-01")]
    (answer,) = answers(tmp_path, SERVICE, [[patient(40, "male"), *vaccinated, *others]])
    assert not answer["cards"]
    assert reasons_of(answer) == ["worklist"]
    assert "Tdap/Td" in answer["extension"]["org.cds-hooks-onnx"]["worklist"][0]["test"]
