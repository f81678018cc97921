"""The service `nephrology-referral` on charts that the samples do not have."""

from pathlib import Path
from typing import Any

import pytest

from tests.cds_hooks.services.chart_cases import answers, patient, problem, request, result, text_of
from tests.cds_hooks.services.equation_calls import (
    added,
    answer,
    only_card,
    procedure,
    reasons,
    service_request,
    valued,
    visit_of,
    without,
)

KIDNEY = ("nephrology-referral", "ckd-uacr")


@pytest.mark.parametrize(
    ("unit", "value"),
    [("mg/g{creat}", 353.6), ("mg/g creat", 353.6), ("mg/mmol{creat}", 40.0), ("mg/mmol Cr", 40.0), ("mcg/mg", 353.6)],
)
def test_a_ratio_of_albumin_is_read_in_the_units_of_laboratories(server_here: str, unit: str, value: float) -> None:
    plain = only_card(answer(server_here, *KIDNEY, valued("9318-7", 353.6, "mg/g")))
    other = only_card(answer(server_here, *KIDNEY, valued("9318-7", value, unit)))
    risks = [card["extension"]["org.cds-hooks-onnx"]["probability"] for card in (plain, other)]
    assert risks[0] == pytest.approx(risks[1], rel=1e-6)


@pytest.mark.parametrize("words", ["Urine albumin/creatinine ratio", "UACR", "Microalbumin/creat, random urine"])
def test_a_test_that_is_ordered_in_words_is_not_offered_again(server_here: str, words: str) -> None:
    ordered = service_request("ckd-uacr", words)
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"), added("tests", ordered))) == ["input-missing"]
    proposed = service_request("ckd-uacr", words, intent="proposal")
    assert reasons(answer(server_here, *KIDNEY, without("9318-7"), added("tests", proposed))) == ["worklist"]


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (procedure("ckd-uacr", "Hemodialysis"), "excluded"),
        (visit_of("ckd-uacr", "Nephrology clinic visit", "planned", -10), "already-done"),
        (visit_of("ckd-uacr", "Office visit", "finished", 10, serviceType={"text": "Nephrology"}), "already-done"),
    ],
)
def test_no_referral_where_nephrology_is_or_will_be_at_work(
    server_here: str, resource: dict[str, Any], reason: str
) -> None:
    key = {"Procedure": "procedures", "Condition": "conditions", "Encounter": "encounters"}[resource["resourceType"]]
    assert reasons(answer(server_here, *KIDNEY, added(key, resource))) == [reason]


def test_an_adrenal_clinic_is_no_renal_clinic(server_here: str) -> None:
    visit = visit_of("ckd-uacr", "Adrenal clinic", "finished", 10)
    assert only_card(answer(server_here, *KIDNEY, added("encounters", visit)))


RATIO, CREATININE = "9318-7", "2160-0"
"""A man of 55 with these results and problems, and what the card says; "" for no card."""
CHARTS: list[tuple[list[dict[str, Any]], str]] = [
    ([result(RATIO, 900, "mg/g"), problem("Kidney transplant status", "Z94.0")], ""),
    ([result(CREATININE, 4.2, "mg/dL")], "repeat it soon, then consider nephrology"),
    ([result(CREATININE, 4.2, "mg/dL"), problem("Acute kidney injury", "N17.9")], ""),
    ([result(CREATININE, 3.6, "mg/dL"), result("98979-8", 45, "mL/min/{1.73_m2}"), problem("CKD", "N18.9")],
     "disputed"),
]  # fmt: skip


def test_what_is_acute_disputed_or_followed_by_a_team_is_no_reason_for_a_referral(tmp_path: Path) -> None:
    charts = [[patient(55, "male"), *chart] for chart, _ in CHARTS]
    for answered, (chart, words) in zip(answers(tmp_path, KIDNEY[0], charts), CHARTS, strict=True):
        assert (words in text_of(answered)) if words else not answered["cards"], (chart, text_of(answered))


def test_a_disputed_value_is_repeated_unless_the_repeat_is_ordered(tmp_path: Path) -> None:
    chart = [patient(55, "male"), *CHARTS[-1][0]]
    ordered = request("Basic metabolic panel")
    (offered,), (silent,) = (answer["cards"] for answer in answers(tmp_path, KIDNEY[0], [chart, [*chart, ordered]]))
    assert [suggestion["label"] for suggestion in offered["suggestions"]] == ["Order basic metabolic panel"]
    assert "disputed" in silent["summary"]
    assert "suggestions" not in silent


def test_a_steep_rise_of_creatinine_is_acute_also_where_no_kidney_disease_was_known(tmp_path: Path) -> None:
    steep = [result("2160-0", 1.1, "mg/dL", "2026-09-01"), result("2160-0", 3.6, "mg/dL", "2026-11-18")]
    small = [result("2160-0", 0.4, "mg/dL", "2026-09-01"), result("2160-0", 0.7, "mg/dL", "2026-11-18")]
    charts = [[patient(60, "male"), *values] for values in (steep, small)]
    acute, none = answers(tmp_path / "acute", "nephrology-referral", charts)
    assert "possible acute kidney injury" in text_of(acute)
    assert not none["cards"]
