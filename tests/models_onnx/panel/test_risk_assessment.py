"""A RiskAssessment of an estimate, and of the reason for none, whole."""

from types import SimpleNamespace
from typing import Any, cast

from models_onnx.panel.outputs import risk_assessment

MANIFEST = cast(Any, SimpleNamespace(
    id="m", version="1", title="Death", file=SimpleNamespace(sha256="ab"), reference=SimpleNamespace(words="US adults"),
    outcome=SimpleNamespace(words="died", horizon_years=1.23456),
))  # fmt: skip


def test_an_estimate_and_the_reason_for_none() -> None:
    def made(probability: float | None, reason: str, identity: str = "p1") -> Any:
        return risk_assessment(MANIFEST, "2026-11-20", identity, probability, 82.5, reason, "A text.")

    assert made(0.25, "") == {
        "resourceType": "RiskAssessment",
        "status": "final",
        "method": {"text": "m 1, Death (sha256 ab)"},
        "subject": {"reference": "Patient/p1"},
        "occurrenceDateTime": "2026-11-20",
        "prediction": [
            {
                "outcome": {"text": "died"},
                "probabilityDecimal": 0.25,
                "whenRange": {
                    "high": {"value": 1.2346, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"}
                },
            }
        ],
        "note": [{"text": "Higher than 82.5 in 100 of US adults."}],
    }
    assert made(None, "")["prediction"] == [{"outcome": {"text": "died"}, "rationale": "A text."}]
    refused = made(0.25, "out-of-range", "a b")
    assert (refused["prediction"], refused["note"], refused["subject"]) == (
        [{"outcome": {"text": "died"}, "rationale": "A text."}],
        [{"text": "No score (out-of-range)."}],
        {"identifier": {"value": "a b"}},
    )
