"""The wording rules, one by one: a card that keeps them all is clean, each broken rule is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models_onnx.workbench.gates.checks import wording
from models_onnx.workbench.gates.checks.wording import check_wording, lint, lint_sentence, reading_grade
from models_onnx.workbench.gates.gate import NotRun
from models_onnx.workbench.gates.subject import ComposedCard
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import NOTHING, subject
from tests.models_onnx.workbench.gates.test_file_gates import card


@for_rows(
    ("changes", "said"),
    [
        ({"detail": card().detail + " ![plot](data:image/png;base64,AA)"}, "image"),
        ({"detail": card().detail + " Stop aspirin."}, "directs instead of offering: 'Stop'"),
        ({"detail": card().detail + " The patient must be admitted."}, "directs instead of offering"),
        ({"detail": card().detail + " Losing weight will reduce the risk."}, "claims an effect"),
        ({"detail": card().detail + " This is urgent."}, "sounds an alarm"),
        ({"detail": card().detail + " Notwithstanding epidemiological heterogeneity, extrapolation necessitates "
          "considerable interdisciplinary deliberation regarding generalisability."}, "reads at grade"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(changes: dict[str, Any], said: str) -> None:
    found = lint(card(**changes))
    assert any(said in fault for fault in found), found


@for_rows(
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


# The rules at their limits.

DETAIL = """Within 5 years 20 in 100 people like this die (18 to 22 in 100).
It is not for emergencies.
▲ raises: age
[How it was made](https://ehr.example/models/m)
"""
CARD = ComposedCard(
    summary="20 in 100 die within 5 years, higher than 90 in 100 people. Consider a talk.", detail=DETAIL,
    indicator="info", options=("a", "b"), links=(), missing=(), margin=-1.0, base=-1.5, contributions=(0.25, 0.25),
)  # fmt: skip


@for_rows(
    ("changes", "rules"),
    [
        ({}, []),
        ({"summary": CARD.summary + "x" * (139 - len(CARD.summary))}, []),
        (
            {"summary": CARD.summary + "x" * (140 - len(CARD.summary))},
            ["the summary has 140 characters; fewer than 140 are shown everywhere"],
        ),
        (
            {"summary": CARD.summary.replace("in 100 die", "of 100 die").replace("in 100 p", "of 100 p")},
            ["the summary gives no natural frequency (people in 100)"],
        ),
        ({"summary": CARD.summary + " 20 %"}, ["the summary gives no natural frequency (people in 100)"]),
        ({"summary": CARD.summary.replace("higher than", "as")}, ["the summary does not say with whom it compares"]),
        ({"summary": CARD.summary.replace("Consider", "Plan")}, ["the summary does not say 'consider'"]),
        ({"summary": CARD.summary + " MRN 5"}, ["the summary holds an identifier"]),
        ({"summary": CARD.summary.replace("within 5 years", "soon")}, []),
        (
            {"summary": CARD.summary.replace("within 5 years", "soon"), "detail": "Here.\n" + DETAIL},
            ["neither the summary nor the first line says within which time"],
        ),
        ({"detail": DETAIL + "A line.\n" * 8}, []),
        ({"detail": DETAIL + "A line.\n\n" * 9}, ["the detail has 13 lines; 12 are read"]),
        ({"detail": DETAIL + "<b>"}, ["the detail holds HTML"]),
        ({"detail": DETAIL + "<svg"}, ["the detail holds an image"]),
        ({"detail": DETAIL.replace(" (18 to 22 in 100)", "")}, ["the detail gives no range of what was observed"]),
        ({"detail": DETAIL + "1234567"}, ["the detail holds an identifier"]),
        ({"detail": DETAIL + "(1234567)"}, []),
        (
            {"detail": DETAIL.replace("https:", "ftp:")},
            ["the detail has not exactly one absolute link to the page of the model"],
        ),
        (
            {"detail": DETAIL + "[more](https://x)"},
            ["the detail has not exactly one absolute link to the page of the model"],
        ),
        ({"detail": DETAIL + "▲ raises: a, ▼▼ lowers: b, ▲ raises: c, ▲ raises: d, ▲ raises: e."}, []),
        (
            {"detail": DETAIL + "▲ raises: a, ▼▼ lowers: b, ▲ raises: c, ▲ raises: d, ▲ raises: e, ▲ raises: f."},
            ["more than 5 factors are listed"],
        ),
        ({"detail": DETAIL + "▲ age."}, ["a sign stands without its word"]),
        (
            {"detail": DETAIL.replace("It is not for emergencies.", "")},
            ["it does not say that it is not for emergencies"],
        ),
        ({"indicator": "critical"}, ["the indicator is critical, which a model that is not cleared may not use"]),
        ({"options": ()}, ["it offers 0 options; 1 to 3 fit a card"]),
        ({"options": ("a", "b", "c")}, []),
        ({"options": ("a", "b", "c", "d")}, ["it offers 4 options; 1 to 3 fit a card"]),
        (
            {"contributions": ()},
            ["it gives no reasons", "base and contributions do not add up to the estimate (-1.5000 and -1.0000)"],
        ),
        ({"detail": DETAIL.replace("▲ raises: age", "")}, ["it gives no reasons"]),
        ({"margin": -1.000009}, []),
        ({"margin": -1.00002}, ["base and contributions do not add up to the estimate (-1.0000 and -1.0000)"]),
        ({"margin": -10.00009, "base": -10.5}, []),
        ({"missing": ("age", "sex", "bmi")}, ["it does not name what is missing: sex, bmi"]),
    ],
)
def test_a_card_that_breaks_a_rule(changes: dict[str, Any], rules: list[str]) -> None:
    assert lint(replace(CARD, **changes)) == rules


def test_a_single_option_needs_a_reason() -> None:
    single = replace(CARD, options=("a",))
    assert lint(single, "x" * 20) == []
    assert lint(single, "x" * 19) == [
        ("it offers a single option and the card of the model does not say why (product.one_option_rationale)")
    ]


@for_rows(
    ("text", "grade"),
    [
        ("", 0.0),
        ("- a list", 0.0),
        ("Go.", -3.4),
        ("People die.", 2.89),
        ("The estimate is an average of many people: it says nothing certain of you.", 5.683),
        ("**Not known or old:** haemoglobin, creatinine; the rest is there.", -2.62),
        ("[A link](https://x) reads as its words.", -1.45),
        ("20 in 100 people", 2.89),
    ],
)
def test_the_grade_of_a_text(text: str, grade: float) -> None:
    assert round(reading_grade(text), 3) == grade


@for_rows(
    ("text", "count"),
    [
        ("Order a visit", 0),
        ("Order a visit now. Stop it.", 1),
        ("Please consider a visit", 0),
        ("A nurse may stop the drug now", 1),
        ("A nurse may stop the drug", 0),
        ("Increase of all values; give some", 2),
        ("<b>bold</b>", 1),
        ("![x](y)", 1),
        ("data:image/png", 1),
    ],
)
def test_a_sentence_that_directs_or_holds_html(text: str, count: int) -> None:
    assert len(list(lint_sentence(text))) == count
