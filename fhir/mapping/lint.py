"""What a feature declaration must hold before anything is computed from it."""

from collections.abc import Iterable

from fhir.mapping.feature import Feature
from fhir.terminology.analytes import ANALYTES


def lint_feature(feature: Feature) -> list[str]:
    """Sentences that say what is wrong with the declaration; empty when nothing is."""
    faults = [f"{feature.name or '(no name)'}: has no {what}" for what, value in _required(feature) if not value]
    if not feature.plausible_low < feature.plausible_high:
        faults.append(f"{feature.name}: plausible range {feature.plausible_low} to {feature.plausible_high} is empty")
    if feature.kind in ("measurement", "bmi"):
        faults += _lint_measurement(feature)
    return faults


def lint_features(features: Iterable[Feature]) -> list[str]:
    """All faults of all declarations, two features of one name among them."""
    faults: list[str] = []
    names: set[str] = set()
    for feature in features:
        faults += lint_feature(feature)
        if feature.name in names:
            faults.append(f"{feature.name}: declared twice")
        names.add(feature.name)
    return faults


def _required(feature: Feature) -> tuple[tuple[str, object], ...]:
    return (
        ("name", feature.name.strip()),
        ("clinician's words", feature.words.strip()),
        ("unit", feature.unit.strip()),
        ("evidence", feature.evidence.strip()),
    )


def _lint_measurement(feature: Feature) -> list[str]:
    analyte = ANALYTES.get(feature.analyte or "")
    if analyte is None:
        return [f"{feature.name}: analyte {feature.analyte!r} is not in tables/analytes.csv, so it has no code"]
    faults = []
    if not analyte.loinc or not all(analyte.loinc):
        faults.append(f"{feature.name}: analyte {analyte.key} has no LOINC code")
    if feature.unit != analyte.unit:
        faults.append(f"{feature.name}: unit {feature.unit} is not the analyte's {analyte.unit}")
    if feature.plausible_low < analyte.plausible_low or feature.plausible_high > analyte.plausible_high:
        faults.append(f"{feature.name}: plausible range is wider than the analyte's")
    if not feature.window_days or feature.window_days <= 0:
        faults.append(f"{feature.name}: has no window in days")
    return faults
