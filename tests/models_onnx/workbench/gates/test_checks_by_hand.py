"""What gates G13 and G15 say at their limits, on subjects that are three members long."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.workbench.gates.checks import device, wording
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import ComposedCard, Evidence, Subject
from tests.models_onnx.workbench.gates.formula import NO_BINS

Json = dict[str, Any]
NONE = Evidence(as_of=date(2026, 11, 20), timer=float)


def _subject(**product: Any) -> Subject:
    return cast(Subject, SimpleNamespace(product=product, manifest=SimpleNamespace(reference=NO_BINS)))


def _says(check: Callable[[Subject, Evidence], Verdict], subject: Subject, evidence: Evidence) -> Any:
    """The sentence and the faults; the reason where there is no verdict."""
    try:
        verdict = check(subject, evidence)
    except (Insufficient, NotRun) as reason:
        return f"{type(reason).__name__}: {reason}"
    return verdict.faults or verdict.sentence


# The guard of devices

NOT_SAID = "its horizon and the time there is to act are not said (horizon_hours, acting_window_hours)"
FINE: Json = {"horizon_hours": 24.5, "acting_window_hours": 24, "time_critical": False, "device_status": "non-device"}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"horizon_hours": 24}, ["it predicts the next 24 hours"]),
        ({"horizon_hours": None}, [NOT_SAID]),
        ({"acting_window_hours": "a day"}, [NOT_SAID]),
        ({"acting_window_hours": 23.5}, ["there are 23.5 hours to act"]),
        ({"time_critical": True}, ["it is time-critical"]),
        ({"time_critical": None}, ["it is time-critical"]),
        ({"output_type": "alarm"}, ["its output is an alarm"]),
        ({"output_type": "estimate"}, []),
        ({"indications": ["Septic shock", "stroke"]}, ["it is about septic, stroke, shock"]),
        ({"signals": ["ECG", 12]}, ["it takes signals, images or sequences: ECG, 12"]),
        ({"horizon_hours": 1, "acting_window_hours": 1, "time_critical": True, "output_type": "alarm"}, [
            "it predicts the next 1 hours", "there are 1 hours to act", "it is time-critical", "its output is an alarm",
        ]),
    ],
)  # fmt: skip
def test_why_a_model_would_be_a_device(changes: Json, reasons: list[str]) -> None:
    assert device.device_reasons({**FINE, **changes}, "Death within 5 years", ["Observation"]) == reasons


@pytest.mark.parametrize(
    ("words", "reasons"),
    [
        ("death within 24 hours", ["its words name within 24 hours"]),
        ("death within 25 hours", []),
        ("death in the next 1440 minutes", ["its words name in the next 1440 minutes"]),
        ("death in the next 1441 minutes", []),
        ("a 12-hour risk", ["its words name 12-hour"]),
        ("a 36-hour risk, then within 6 h", ["its words name within 6 h"]),
        ("within the next 2 hrs and within 3 hours", ["its words name within the next 2 hrs"]),
        ("within 30 days", []),
    ],
)
def test_hours_in_the_words_of_a_model(words: str, reasons: list[str]) -> None:
    assert device.device_reasons(FINE, words, ["Observation.valueQuantity"]) == reasons


def test_inputs_that_are_signals() -> None:
    sources = ["Observation.valueSampledData", "Media.content", "Observation.code"]
    assert device.device_reasons(FINE, "", sources) == [
        "it takes signals, images or sequences: Observation.valueSampledData, Media.content"
    ]


@pytest.mark.parametrize(
    ("users", "role", "statement", "unexplained", "count"),
    [
        ("clinicians", "informs", "0123456789", [], 0),
        ("clinicians", "informs", " 012345678 ", [], 1),
        ("clinicians, never patients", "informs", "0123456789", [], 0),
        ("not families", "informs", "0123456789", [], 0),
        ("clinicians and caregivers", "informs", "0123456789", [], 1),
        ("clinicians", "Replaces the decision", "0123456789", [], 1),
        ("clinicians", "informs", "0123456789", ["age", "sex"], 1),
        ("patients", "replaces", "", ["age"], 4),
    ],
)
def test_why_a_model_may_not_be_shown(
    users: str, role: str, statement: str, unexplained: list[str], count: int
) -> None:
    reasons = list(device.attribute_reasons(users, role, statement, unexplained))
    assert len(reasons) == count
    assert not unexplained or f"matter clinically: {', '.join(unexplained)}" in " ".join(reasons)


def _device(evidence: str = "0123456789", **product: Any) -> Any:
    about = SimpleNamespace(title="Falls", outcome=SimpleNamespace(words="a fall within 1 year"))
    features = [SimpleNamespace(name="invented", fhir="Observation")]
    card = {"purpose": {"users": {"words": "clinicians"}, "decision_role": {"words": "informs"}}}
    whole = {**FINE, "section_1557": "0123456789", "input_evidence": {"invented": evidence}, **product}
    made = SimpleNamespace(manifest=about, product=whole, card=card, features=features)
    return device.check_device(cast(Subject, made), NONE)


def test_the_verdict_on_a_device() -> None:
    assert _device() == Verdict(
        sentence="non-device: horizon 24.5 h, time to act 24 h.", faults=(), figures={"device_reasons": []}, rows=[]
    )
    assert _device("too short").faults == ("nothing says why these inputs matter clinically: invented",)
    assert _device(input_evidence=[]).faults == ("nothing says why these inputs matter clinically: invented",)
    assert _device(horizon_hours=6).faults == (
        ("refused for cards, it would be a medical device: it predicts the next 6 hours; and no clearance is given"),
    )
    assert _device(horizon_hours=6, device_status="cleared", clearance="K123456") == Verdict(
        sentence="cleared: horizon 6 h, time to act 24 h.",
        faults=(),
        figures={"device_reasons": ["it predicts the next 6 hours"]},
        rows=[],
    )
    assert _device(horizon_hours=None).faults == (
        f"refused for cards, it would be a medical device: {NOT_SAID}; and no clearance is given",
    )
    cleared = _device(acting_window_hours=None, device_status="cleared", clearance="K123456")
    assert cleared.sentence == "cleared: horizon 24.5 h, time to act not said."
    nothing = device.check_device(cast(Subject, SimpleNamespace(product={}, card={})), NONE)
    assert nothing == Verdict(sentence="", faults=("there is no card that says what it is for",), figures={}, rows=[])
    assert device._words_at({"purpose": {"users": "clinicians"}}, "purpose", "users") == ""
    assert device._words_at({"purpose": "x"}, "purpose", "users") == ""


# The wording of cards

DETAIL = """Within 5 years 20 in 100 people like this die (18 to 22 in 100).
It is not for emergencies.
▲ raises: age
[How it was made](https://ehr.example/models/m)
"""
CARD = ComposedCard(
    summary="20 in 100 die within 5 years, higher than 90 in 100 people. Consider a talk.", detail=DETAIL,
    indicator="info", options=("a", "b"), links=(), missing=(), margin=-1.0, base=-1.5, contributions=(0.25, 0.25),
)  # fmt: skip


@pytest.mark.parametrize(
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
def test_a_card_that_breaks_a_rule(changes: Json, rules: list[str]) -> None:
    assert wording.lint(replace(CARD, **changes)) == rules


def test_a_single_option_needs_a_reason() -> None:
    single = replace(CARD, options=("a",))
    assert wording.lint(single, "x" * 20) == []
    assert wording.lint(single, "x" * 19) == [
        ("it offers a single option and the card of the model does not say why (product.one_option_rationale)")
    ]


@pytest.mark.parametrize(
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
    assert round(wording.reading_grade(text), 3) == grade


def test_syllables() -> None:
    words = ("the", "age", "people", "free", "table", "idea", "rhythm", "estimate", "be", "b", "Anaemia")
    assert [wording._syllables(word) for word in words] == [1, 1, 2, 1, 2, 2, 1, 3, 1, 1, 3]


@pytest.mark.parametrize(
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
    assert len(list(wording.lint_sentence(text))) == count
