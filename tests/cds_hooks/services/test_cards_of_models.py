"""The cards of the services of models: what they offer, what stands before the estimate, and who is asked."""

from time import time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from msgspec.structs import replace

from cards.card import Card
from cds_hooks.components import _horizon_days
from cds_hooks.protocol.hooks import EncounterDischargeContext
from cds_hooks.services import readmission_follow_up
from cds_hooks.services._anticoagulation import stopped_anticoagulant
from cds_hooks.services._model import ModelEstimate
from cds_hooks.settings import Settings
from cds_hooks.trusted_models import AbsentModel
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureVector
from fhir.record.refusals import WhyNot
from models_onnx.serving.runtime import Model
from tests.cds_hooks.services.deciding import Json, call_about, draft, offered
from tests.cds_hooks.services.test_decisions_by_themselves import days_ago, stay
from tests.cds_hooks.services.test_follow_up import leaving_for
from tests.each import for_rows
from tests.fhir.builders import AS_OF, ICD10, condition, record_of, request


def estimated(model: Model) -> ModelEstimate:
    """The estimate of somebody with the reference value of each input."""
    values = np.array([feature.reference_value for feature in model.manifest.features])
    vector = FeatureVector(features_named(model.features), values, [None] * len(values), [])
    return ModelEstimate(model, model.predict(values), vector, None)


def discharge(*resources: Json) -> Any:
    context = EncounterDischargeContext(patient_id="p1", user_id="Practitioner/1", encounter_id="e1")
    call = call_about(*resources)
    return replace(call, request=cast("Any", SimpleNamespace(context=context)))


DIABETES = condition("E11.9", ICD10)
STAY: Json = {"encounter": {"reference": "Encounter/e1"}, "occurrenceDateTime": "2026-11-27"}


def the_offer(card: Card) -> tuple[str, str, Any]:
    (offer,) = offered(card)
    return offer


def test_a_follow_up_is_a_visit_at_home_and_agreed_with_a_facility() -> None:
    home = readmission_follow_up._card(discharge(leaving_for("home")), estimated(readmission_follow_up.MODEL))
    assert home.summary.startswith("Readmission within 30 days: ")
    assert home.summary.endswith("in 100 of stays with diabetes). Consider early follow-up.")
    assert the_offer(home) == (
        "Order a visit within 7 days", "Draft order: follow-up visit within 7 days of discharge.",
        draft("u1", "Follow-up visit within 7 days of discharge", **STAY),
    )  # fmt: skip
    assert "Goes to" not in (home.detail or "")
    assert "is not charted yet" not in (home.detail or "")
    there = readmission_follow_up._card(discharge(leaving_for("snf")), estimated(readmission_follow_up.TWIN))
    agreed = "ollow-up agreed with a skilled nursing facility within 7 days of discharge"
    assert the_offer(there) == (
        "Order a follow-up within 7 days", f"Draft order: f{agreed}.", draft("u1", f"F{agreed}", **STAY),
    )  # fmt: skip
    words = "**Goes to a skilled nursing facility**: agree the follow-up with the team there."
    assert (there.detail or "").startswith(words)
    assert readmission_follow_up.DESTINATION_UNKNOWN in (there.detail or "")
    (link,) = [link.url for link in there.links if "/models/" in link.url] or [
        word for word in (there.detail or "").replace(")", " ").replace("(", " ").split() if "/models/" in word
    ]
    assert link == "https://cds.example/models/readmission_30d_early"


NO_DIABETES = WhyNot("readmission_30d", "outside-population", "The model is of stays with diabetes; none is on record.")


def test_of_a_chart_the_model_has_the_reasons_of_its_service() -> None:
    outside = readmission_follow_up.OF_CHART.outside
    assert outside(record_of(stay(), DIABETES)) is None
    assert outside(record_of(stay())) == NO_DIABETES
    silence = outside(record_of(DIABETES))
    assert silence is not None
    assert silence.text == "No stay in hospital is on the chart that could end."


@for_rows(
    ("more", "text"),
    [
        ({"status": "stopped", "authoredOn": days_ago(30)}, "apixaban stopped (ordered 2026-10-21)"),
        ({"status": "on-hold", "authoredOn": days_ago(30)}, "apixaban on hold (ordered 2026-10-21)"),
        ({"status": "stopped", "authoredOn": days_ago(400)}, None),
        ({"status": "active"}, None),
    ],
)
def test_the_anticoagulant_that_was_stopped_is_named_with_its_date(more: Json, text: str | None) -> None:
    assert stopped_anticoagulant(record_of(request("apixaban 5 MG Oral Tablet", **more))) == text


def test_each_model_looks_as_far_ahead_as_its_outcome() -> None:
    def service(*models: tuple[str, int | None, int | None]) -> Any:
        made = [
            SimpleNamespace(
                manifest=SimpleNamespace(id=name, outcome=SimpleNamespace(horizon_days=days, horizon_years=years))
            )
            for name, days, years in models
        ]
        return SimpleNamespace(models=(*made, AbsentModel("gone", OSError(), ())))

    services = {"a": service(("x", 30, None)), "b": service(("y", None, 5), ("z", None, 1))}
    assert _horizon_days(services) == {"x": 30, "y": 1826.25, "z": 365.25}
    assert Settings(as_of=AS_OF).clock() == AS_OF.timestamp()
    assert abs(Settings().clock() - time()) < 60
