"""The wording rules, one by one: a card that keeps them all is clean, each broken rule is named."""

from typing import Any

import pytest

from models_onnx.workbench.gates.checks.wording import lint, lint_sentence, reading_grade
from tests.models_onnx.workbench.gates.test_judgement_gates import card

WHY = "There is one thing to consider, and not doing it needs no button."


def test_a_card_that_keeps_every_rule_is_clean() -> None:
    assert lint(card()) == []
    neutral = "Planning ahead: higher than for 98 in 100 adults. Consider a talk."
    assert lint(card(summary=neutral, detail=card().detail.replace("this died", "this died within 5 years"))) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"summary": "x" * 140}, "has 140 characters"),
        ({"summary": "Death within 5 years: 61 % (higher than 98 in 100). Consider it."}, "natural frequency"),
        ({"summary": "Death: about 61 in 100 (higher than 98 in 100). Consider it."}, "within which time"),
        ({"summary": "Death within 5 years: about 61 in 100. Consider planning."}, "with whom it compares"),
        ({"summary": "Death within 5 years: 61 in 100 (higher than 98 in 100). Plan ahead."}, "'consider'"),
        ({"summary": "MRN 12: within 5 years 61 in 100, higher than 9. Consider."}, "identifier"),
        ({"detail": card().detail + "\n" + "\n".join("- line" for _ in range(12))}, "lines; 12 are read"),
        ({"detail": card().detail + " <b>bold</b>"}, "HTML"),
        ({"detail": card().detail + " ![plot](data:image/png;base64,AA)"}, "image"),
        ({"detail": card().detail.replace("56 to 72 in 100 did", "many did")}, "no range"),
        ({"detail": card().detail.replace("(https://a.example/m)", "(/m)")}, "absolute link"),
        ({"detail": card().detail.replace("▲▲▲ raises a lot", "▲▲▲")}, "a sign stands without its word"),
        ({"detail": card().detail + 6 * "\n  - ▲ raises"}, "more than 5 factors"),
        ({"detail": card().detail + " Stop aspirin."}, "directs instead of offering: 'Stop'"),
        ({"detail": card().detail + " The patient must be admitted."}, "directs instead of offering"),
        ({"detail": card().detail + " Losing weight will reduce the risk."}, "claims an effect"),
        ({"detail": card().detail + " This is urgent."}, "sounds an alarm"),
        ({"detail": card().detail.replace("not for emergencies", "for all")}, "not for emergencies"),
        ({"indicator": "critical"}, "indicator is critical"),
        ({"options": ()}, "offers 0 options"),
        ({"options": ("a", "b", "c", "d")}, "offers 4 options"),
        ({"options": ("a",)}, "a single option"),
        ({"contributions": (1.4,)}, "do not add up"),
        ({"contributions": ()}, "gives no reasons"),
        ({"missing": ("Albumin",)}, "does not name what is missing: Albumin"),
        ({"detail": card().detail + " Notwithstanding epidemiological heterogeneity, extrapolation necessitates "
          "considerable interdisciplinary deliberation regarding generalisability."}, "reads at grade"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(changes: dict[str, Any], said: str) -> None:
    found = lint(card(**changes))
    assert any(said in fault for fault in found), found


def test_a_single_option_with_its_reason_is_clean() -> None:
    assert lint(card(options=("Order a planning conversation",)), WHY) == []


def test_plain_sentences_read_easier_than_long_words() -> None:
    assert reading_grade("The cat sat on the mat. It was warm.") < 3
    assert reading_grade("Multidisciplinary rehabilitation necessitates comprehensive evaluation.") > 15
    assert reading_grade("") == 0.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("STOP all medication now", "it directs instead of offering: 'STOP'"),
        ("We advise to stop all medication now.", "stop all medication now"),
        ("Draft order: discontinue every drug", "discontinue"),
        ("Order a visit. Stop metformin.", None),
        ("Hold metformin until the kidney recovers.", "directs instead of offering: 'Hold'"),
        ("Consider a talk. Switch to insulin.", "Switch"),
        ("Metformin should be stopped in these people.", "should be stopped"),
        ("The dose is to be reduced by half.", "is to be reduced"),
        ("Warfarin ought to promptly be withheld.", "withheld"),
        ("Admission is strongly recommended.", "is strongly recommended"),
        ("It is time to begin dialysis.", "It is time to"),
        ("The model recommends hospice.", "The model recommends"),
        ("Make sure a bed is free.", "Make sure"),
        ("Transfer to intensive care; call the family.", "Transfer"),
        ("This prevents readmission.", "it claims an effect"),
        ("Urgent: read this at once", "it sounds an alarm"),
        ("See <b>this</b> note", "it holds HTML"),
    ],
)
def test_a_text_of_a_service_that_directs_claims_or_alarms_is_named(text: str, said: str | None) -> None:
    found = list(lint_sentence(text))
    assert found
    assert said is None or any(said in each for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "Order a visit within 7 days",
        "Draft order: follow-up visit",
        "For planning, not for emergencies.",
        "Call by the nurse",
        "Transfer of care",
    ],
)
def test_an_offer_is_clean(text: str) -> None:
    assert list(lint_sentence(text)) == []


def test_a_detail_of_as_many_lines_as_are_read_is_clean_and_one_more_is_not() -> None:
    lines = len([line for line in card().detail.splitlines() if line.strip()])
    longest = card().detail + "".join("\n- line" for _ in range(12 - lines))
    assert not any("lines;" in fault for fault in lint(card(detail=longest)))
    assert any("has 13 lines; 12 are read" in fault for fault in lint(card(detail=longest + "\n- line")))


@pytest.mark.parametrize(("reason", "is_enough"), [("x" * 19, False), ("x" * 20, True)])
def test_the_reason_of_a_single_option_has_twenty_letters(reason: str, *, is_enough: bool) -> None:
    faults = lint(card(options=("Order a planning conversation",)), reason)
    assert (faults == []) is is_enough
