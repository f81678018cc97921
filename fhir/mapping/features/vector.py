"""Computes the feature vector of a record; training, the server and batch scoring all use this function."""

from math import nan

import numpy as np

from fhir.mapping.features.feature import Feature, FeatureValue, FeatureVector, Missing
from fhir.record.record import PatientRecord


def map_features(record: PatientRecord, features: tuple[Feature, ...]) -> FeatureVector:
    """The values of `features` as of `record.as_of`, each with its evidence; a missing one is NaN and named.

    Values are float64 in the feature's unit, shape (len(features),).
    """
    values: list[float] = []
    evidence: list[FeatureValue | None] = []
    missing: list[Missing] = []
    for feature in features:
        found = feature.read(record)
        if isinstance(found, Missing):
            missing.append(found)
            evidence.append(None)
            values.append(nan)
        else:
            evidence.append(found)
            values.append(found.value)
    return FeatureVector(features, np.array(values, dtype=np.float64), evidence, missing)
