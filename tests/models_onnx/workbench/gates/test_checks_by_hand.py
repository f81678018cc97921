"""What gates G7, G8, G13, G15 and G18 say at their limits, on subjects that are three members long."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models_onnx.workbench.gates.checks import device, figures, wording
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import ComposedCard, Evidence, InputEvidence, Paired, Subject

Json = dict[str, Any]
NONE = Evidence(as_of=date(2026, 11, 20), timer=float)


def _subject(**product: Any) -> Subject:
    return cast(Subject, SimpleNamespace(product=product, manifest=None))


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
    ("clearance", "is_cleared"),
    [("K123456", True), ("DEN123456", True), ("P123456/S12", True), ("P123456", True), ("K12345", False),
     ("K1234567", False), ("", False), (None, False)],
)  # fmt: skip
def test_a_clearance_is_a_number_of_the_fda(clearance: str | None, is_cleared: bool) -> None:
    assert device.is_cleared({"device_status": "cleared", "clearance": clearance}) is is_cleared
    assert not device.is_cleared({"device_status": "non-device", "clearance": clearance})


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
    made = SimpleNamespace(about=about, product=whole, card=card, features=features)
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


# Discrimination, calibration, the version in use


def _figures(floor: Any = 0.7, inputs: InputEvidence | None = None, **members: Any) -> tuple[Subject, Evidence]:
    return _subject(auroc_floor=floor), Evidence(as_of=date(2026, 11, 20), timer=float, figures=members, inputs=inputs)


def _auroc(value: float = 0.8, low: float | None = 0.75, events: int = 100, **more: Any) -> Json:
    return {"events": events, "n": 1000, "auroc": {"value": value, "low": low, "high": 0.85}, **more}


def test_discrimination() -> None:
    cases: list[Any] = [
        (0.7, {"all": _auroc()}),
        (0.75, {"all": _auroc()}),
        (0.751, {"all": _auroc()}),
        (0.5, {"all": _auroc(0.65, 0.599)}),
        (0.5, {"all": _auroc(0.65, 0.6)}),
        (1, {"all": _auroc()}),
        (0.7, {"all": _auroc(low=None)}),
        (0.7, {"all": _auroc(events=99)}),
        (None, {"all": _auroc()}),
        (0.7, {}),
        (0.7, {"all": _auroc(), "simple": {"inputs": ["age", "sex"], "gain": {"value": 0.05, "low": 0.01}}}),
        (0.7, {"all": _auroc(), "simple": {"inputs": ["age"], "gain": {"value": 0.05, "low": 0.0}}}),
        (0.7, {"all": _auroc(ppv={"value": 0.15, "high": 0.199})}),
        (0.7, {"all": _auroc(ppv={"value": 0.15, "high": 0.2})}),
    ]
    verdicts = tuple(_says(figures.check_discrimination, *_figures(floor, **members)) for floor, members in cases)
    assert verdicts == (
        "AUROC 0.800 (0.750 to 0.850), floor 0.7.",
        "AUROC 0.800 (0.750 to 0.850), floor 0.75.",
        ("AUROC 0.800, its interval begins at 0.750, below the floor 0.751",),
        ("AUROC 0.650, its interval begins at 0.599, below the floor 0.6",),
        "AUROC 0.650 (0.600 to 0.850), floor 0.6.",
        ("AUROC 0.800, its interval begins at 0.750, below the floor 1",),
        ("AUROC 0.800, its interval begins at nan, below the floor 0.7",),
        "Insufficient: 99 events; 100 are needed for a verdict.",
        ("NotRun: No floor is declared (product.auroc_floor of the card), so nothing can be held against it."),
        "NotRun: There is no evaluation on people it was not trained on.",
        "AUROC 0.800 (0.750 to 0.850), floor 0.7; +0.050 over age and sex alone.",
        ("it is not better than age alone (gain 0.050)",),
        ("of its alerts 15 in 100 have the outcome, fewer than 20",),
        "AUROC 0.800 (0.750 to 0.850), floor 0.7.",
    )


def _ratio(value: float, low: float | None, high: float | None) -> Json:
    return {"value": value, "low": low, "high": high}


def _block(ratio: Json, events: int = 50, **more: Any) -> Json:
    return {"events": events, "n": 1000, "observed_expected": ratio, **more}


def test_calibration() -> None:
    cases: list[Any] = [
        {"all": _block(_ratio(1.0, 0.9, 1.1))},
        {"latest": _block(_ratio(1.0, 0.95, 1.05)), "all": _block(_ratio(2, 2, 2))},
        {"all": _block(_ratio(1.0, 0.9, 1.1), events=49)},
        {"all": _block(_ratio(0.8, 0.7, 0.899))},
        {"all": _block(_ratio(0.8, 0.7, 0.9))},
        {"all": _block(_ratio(1.2, 1.101, 1.3))},
        {"all": _block(_ratio(1.2, 1.1, 1.3))},
        {"all": _block(_ratio(1.0, 0.85, 1.2))},
        {"all": _block(_ratio(1.098, 0.95, 1.25))},
        {"all": _block(_ratio(1.0, None, None))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(0.9, 0.8, 1.0))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(0.7, 0.6, 0.799))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(0.7, 0.6, 0.8))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(1.3, 1.201, 1.4))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(1.3, 1.2, 1.4))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope={"value": None})},
        {
            "all": _block(_ratio(1.0, 0.95, 1.05)),
            "newest": {"words": "2025", "observed_expected": _ratio(1.2, 1.1, 1.3)},
        },
        {
            "all": _block(_ratio(1.0, 0.95, 1.05)),
            "horizons": {
                "rows": [
                    {"years": 1, "events": 50, "observed_expected": _ratio(0.8, 0.7, 0.899)},
                    {"years": 2, "events": 49, "observed_expected": _ratio(0.8, 0.7, 0.899)},
                    {"years": 3, "events": 50, "observed_expected": _ratio(0.8, 0.7, 0.9)},
                    {"years": 4, "events": 50, "observed_expected": _ratio(1.2, 1.101, 1.3)},
                ]
            },
        },
    ]
    verdicts = tuple(_says(figures.check_calibration, *_figures(**members)) for members in cases)
    assert verdicts == (
        "Observed/expected 1.000 (0.900 to 1.100).",
        "Observed/expected 1.000 (0.950 to 1.050).",
        "Insufficient: 49 events; 50 are needed for a verdict.",
        ("observed/expected 0.800, interval 0.700 to 0.899, not within 0.9 to 1.1",),
        (
            "Insufficient: observed/expected 0.800, interval 0.700 to 0.900: neither within 0.9 to 1.1 nor "
            "wholly outside. About 1,139 people would be needed for a verdict; there are 1,000 with 50 "
            "events."
        ),
        ("observed/expected 1.200, interval 1.101 to 1.300, not within 0.9 to 1.1",),
        (
            "Insufficient: observed/expected 1.200, interval 1.100 to 1.300: neither within 0.9 to 1.1 nor "
            "wholly outside. About 922 people would be needed for a verdict; there are 1,000 with 50 events."
        ),
        (
            "Insufficient: observed/expected 1.000, interval 0.850 to 1.200: neither within 0.9 to 1.1 nor "
            "wholly outside. About 3,273 people would be needed for a verdict; there are 1,000 with 50 "
            "events."
        ),
        (
            "Insufficient: observed/expected 1.098, interval 0.950 to 1.250: neither within 0.9 to 1.1 nor "
            "wholly outside. It is so close to 1.1 that no number of people near 1,000 would decide it."
        ),
        ("observed/expected 1.000, interval nan to nan, not within 0.9 to 1.1",),
        "Observed/expected 1.000 (0.950 to 1.050), slope 0.900.",
        ("calibration slope 0.700, its interval lies outside 0.8 to 1.2",),
        "Observed/expected 1.000 (0.950 to 1.050), slope 0.700.",
        ("calibration slope 1.300, its interval lies outside 0.8 to 1.2",),
        "Observed/expected 1.000 (0.950 to 1.050), slope 1.300.",
        ("no calibration slope can be computed: the estimates do not follow the outcome",),
        (
            "Observed/expected 1.000 (0.950 to 1.050). Beside it 2025, the latest followed to the horizon: "
            "1.200 (1.100 to 1.300)."
        ),
        (
            "at 1 years observed/expected 0.800 (0.700 to 0.899)",
            "at 4 years observed/expected 1.200 (1.101 to 1.300)",
        ),
    )


def test_the_limit_that_is_nearer_decides_how_many_people_are_needed() -> None:
    """(half the logarithm of the interval / that of the way to the limit)^2 times the people; not nearer than 0.005."""
    block = {"n": 1000, "events": 1234}
    assert figures._needed(block, 1.0, 0.8, 1.25) == (
        "About 5,482 people would be needed for a verdict; there are 1,000 with 1,234 events."
    )
    assert figures._needed(block, 0.95, 0.8, 1.25).startswith("About 17,034 people ")
    near = "It is so close to 1.1 that no number of people near 1,000 would decide it."
    assert figures._needed(block, 1.1 * float(np.exp(-0.00499)), 0.8, 1.25) == near
    assert figures._needed(block, 1.1 * float(np.exp(-0.00501)), 0.8, 1.25) != near


def _version(evaluation: Json, sha256: str = "a") -> Subject:
    manifest = SimpleNamespace(data=SimpleNamespace(sha256=sha256))
    about = SimpleNamespace(version="1.2")
    return cast(Subject, SimpleNamespace(product={}, manifest=manifest, about=about, evaluation=evaluation))


def test_no_worse_than_the_version_in_use() -> None:
    def says(mine: float, theirs: Json, sha256: str = "a", n: int = 1000) -> Any:
        block = {"n": n, "events": 100, "auroc": {"value": mine}}
        evidence = replace(NONE, active=_version(theirs, sha256), figures={"all": block})
        return _says(figures.check_not_worse, _version({}), evidence)

    theirs = {"all": {"n": 1000, "events": 100, "auroc": {"value": 0.8}}}
    assert (
        _says(figures.check_not_worse, _version({}), NONE)
        == "No other version of it is in use: there is nothing it could be worse than."
    )
    assert says(0.795, theirs) == "AUROC -0.0050 against 1.2, evaluated on the same table."
    assert says(0.789, theirs) == ("AUROC is 0.011 lower than that of 1.2, which is in use",)
    assert says(0.82, theirs) == "AUROC +0.0200 against 1.2, evaluated on the same table."
    assert says(0.8, {}) == "NotRun: Version 1.2 in use has no stored evaluation to compare with."
    assert says(0.8, theirs, "b") == (
        "NotRun: The two versions were evaluated on different people; give the data folder to compare them."
    )
    assert says(0.8, theirs, n=999) == (
        "NotRun: The two versions were evaluated on different people; give the data folder to compare them."
    )


def test_an_imported_model_was_evaluated_on_nobody_knows_whom() -> None:
    block = {"n": 1000, "events": 100, "auroc": {"value": 0.8}}
    imported = SimpleNamespace(**{**vars(_version({"all": block})), "manifest": None})
    for mine, theirs in ((_version({}), imported), (imported, _version({"all": block}))):
        evidence = replace(NONE, active=cast(Subject, theirs), figures={"all": block})
        assert str(_says(figures.check_not_worse, cast(Subject, mine), evidence)).startswith("NotRun: The two versions")


def test_the_bins_of_the_reference_are_the_rows_of_the_calibration() -> None:
    row = SimpleNamespace(predicted=0.1, rate=0.2, low=0.15, high=0.25, count=40)
    reference = SimpleNamespace(bins=[row])
    ours = cast(Subject, SimpleNamespace(manifest=SimpleNamespace(reference=reference)))
    assert figures._bins(ours) == [{"expected": 0.1, "observed": 0.2, "low": 0.15, "high": 0.25, "people": 40}]
    assert figures._bins(_subject()) == []


def test_no_worse_on_the_same_people() -> None:
    draw = np.random.default_rng(1)
    y = (draw.random(400) < 0.3).astype(np.int64)
    margin = draw.normal(size=400) + 2.0 * y

    def says(mine: Any, theirs: Any, threshold: float = 0.0) -> Any:
        pair = Paired(margin=mine, active_margin=theirs, y=y, threshold=threshold)
        return _says(figures.check_not_worse, _version({}), replace(NONE, active=_version({}), paired=pair))

    assert says(margin, margin) == (
        "AUROC +0.0000 (+0.0000 to +0.0000), net benefit +0.0000 against 1.2, on the same 400 people."
    )
    assert says(margin, margin + 2.0 * y) == (
        ("AUROC -0.0691 (-0.0934 to -0.0479) against 1.2 on the same people: more than 0.01 worse cannot be ruled out"),
        "net benefit at the threshold is 0.0075 lower than that of 1.2",
    )
    assert says(margin - 1.0, margin) == (
        "AUROC +0.0000 (+0.0000 to +0.0000), net benefit +0.1925 against 1.2, on the same 400 people."
    )
    assert says(margin, margin - 1.0, -1.0) == ("net benefit at the threshold is 0.0670 lower than that of 1.2",)
