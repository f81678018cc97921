"""The wording rules, one by one: a card that keeps them all is clean, each broken rule is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models_onnx.workbench.gates.checks import wording
from models_onnx.workbench.gates.checks.wording import check_wording, lint, lint_sentence, reading_grade
from models_onnx.workbench.gates.gate import NotRun
from models_onnx.workbench.gates.subject import ComposedCard
from tests.models_onnx.workbench.gates.formula import NOTHING, subject
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


def test_a_detail_of_as_many_lines_as_are_read_is_clean_and_one_more_is_not() -> None:
    lines = len([line for line in card().detail.splitlines() if line.strip()])
    longest = card().detail + "".join("\n- line" for _ in range(12 - lines))
    assert not any("lines;" in fault for fault in lint(card(detail=longest)))
    assert any("has 13 lines; 12 are read" in fault for fault in lint(card(detail=longest + "\n- line")))


@pytest.mark.parametrize(("reason", "is_enough"), [("x" * 19, False), ("x" * 20, True)])
def test_the_reason_of_a_single_option_has_twenty_letters(reason: str, *, is_enough: bool) -> None:
    faults = lint(card(options=("Order a planning conversation",)), reason)
    assert (faults == []) is is_enough


def test_the_verdict_on_the_cards_and_the_sentences_of_a_service() -> None:
    counts: list[int] = []
    missing: list[bool] = []

    def compose(rows: np.ndarray) -> list[ComposedCard]:
        counts.append(len(rows))
        missing.append(bool(np.isnan(rows).any()))
        wrong = card(
            summary="Within 5 years 61 in 100, higher than 98 in 100. Plan.", detail=card().detail + "\n\nMore."
        )
        return [wrong, *([card()] * (len(rows) - 1))]

    whole = replace(NOTHING, cards=compose, sentences=[("a.py, line 1", "Order a visit"), ("b.py", "Stop it now")])
    verdict = check_wording(subject(), whole)
    assert (counts, missing) == ([200], [True])
    assert verdict.faults == (
        "the summary does not say 'consider' (on 1 of 200 cards)",
        "b.py: it directs instead of offering: 'Stop'",
        "b.py: it directs instead of offering: 'Stop it now'",
    )
    assert verdict.sentence == (
        "200 cards and 2 sentences of the service; longest summary 100 characters, at most 5 lines."
    )
    assert verdict.figures == {
        "cards": 200,
        "sentences": 2,
        "longest_summary": 100,
        "most_lines": 5,
        "example": "Within 5 years 61 in 100, higher than 98 in 100. Plan.",
    }
    quiet = check_wording(subject(), replace(NOTHING, cards=lambda rows: [card() for _ in rows]))
    assert (
        quiet.sentence == "200 cards and 0 sentences of the service; longest summary 100 characters, at most 4 lines."
    )
    with pytest.raises(NotRun, match=r"^None of the invented patients gets a card.$"):
        check_wording(subject(), replace(NOTHING, cards=lambda _rows: []))


def test_the_grade_is_nine_or_less(monkeypatch: pytest.MonkeyPatch) -> None:
    for grade, faults in ((9.0, []), (9.1, ["the fixed text reads at grade 9.1; 9 is the limit"])):
        monkeypatch.setattr(wording, "reading_grade", lambda _text, grade=grade: grade)
        assert lint(card()) == faults


def test_a_silent_e_is_no_syllable_of_a_word_with_another() -> None:
    counts = {"note": 1, "the": 1, "people": 2, "agree": 2, "eye": 1, "cause": 1, "a": 1, "hmm": 1, "e": 1, "bee": 1}
    assert {word: wording._syllables(word) for word in counts} == counts


@pytest.mark.parametrize(("by", "is_fault"), [(1.9e-5, False), (2.1e-5, True)])
def test_what_a_sum_may_miss_grows_with_the_margin(by: float, is_fault: bool) -> None:
    faults = lint(card(margin=2.0 + by, base=-1.0, contributions=(1.0, 2.0)))
    assert faults == ["base and contributions do not add up to the estimate (2.0000 and 2.0000)"] * is_fault
