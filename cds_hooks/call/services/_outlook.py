"""The outlook of a patient, by which every line about a later benefit is decided alike: screening and a statin."""

from typing import Final

from cards.compose.model import people_shown
from cds_hooks.call.services._service import ServiceInput
from cds_hooks.call.trusted_models import AbsentModel, served_model
from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import FeatureVector, map_features
from fhir.mapping.stays import without_stays
from fhir.record.record import PatientRecord
from models_onnx.serving.eligibility import lacks_inputs, not_in_population

OUTLOOK: Final = served_model("mortality_5y")
OUTLOOK_FEATURES: Final = features_named(OUTLOOK.features)
_SHORT_OF_LIFE: Final = 50
"""From so many deaths in 100 within 5 years on, nothing is reminded of whose benefit comes later; the project's own
choice. USPSTF names life expectancy (colorectal 2021, lung 2021) without a number of this kind."""


def short_outlook(call: ServiceInput) -> str | None:
    """Why a benefit of later years is not reminded of, by the model; None where it expects more or says nothing."""
    record = call.record
    if isinstance(OUTLOOK, AbsentModel) or not_in_population(OUTLOOK.manifest, record.age_years()) is not None:
        return None
    vector = outlook_inputs(record)
    if lacks_inputs(OUTLOOK.manifest, vector.values) is not None or call.why_withheld(OUTLOOK) is not None:
        return None
    deaths = people_shown(call.predict(OUTLOOK, vector.values))
    if deaths < _SHORT_OF_LIFE:
        return None
    return f"about {deaths} in 100 people with such results died within 5 years, before the benefit would come"


def outlook_inputs(record: PatientRecord) -> FeatureVector:
    """Return the inputs of the model, mapped once for all services that ask about this chart."""
    return record.derive(_map_inputs)


def _map_inputs(record: PatientRecord) -> FeatureVector:
    return without_stays(record, map_features(record, OUTLOOK_FEATURES))
