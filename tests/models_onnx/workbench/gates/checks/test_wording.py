"""The wording rules, one by one: a card that keeps them all is clean, each broken rule is named."""

from dataclasses import replace
from typing import Any

from models_onnx.workbench.gates.checks.wording import lint
from models_onnx.workbench.gates.subject import ComposedCard
from tests.each import for_rows
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
