"""Whether the patient takes a benzodiazepine or a Z-drug."""

from fhir.mapping.features.feature import Feature
from fhir.mapping.features.patient import TakesMedication

FEATURES: tuple[Feature, ...] = (
    TakesMedication(
        "takes_sleeping_pill",
        "Benzodiazepine or Z-drug",
        "an input of the fall card of St. Mary's (invented)",
        classes=("benzodiazepine", "z_drug"),
    ),
)
