"""The data dictionary: every feature as its declaration says, for the documentation."""

from collections.abc import Iterable

from fhir.mapping.feature import Feature

_HEAD = "| feature | words | unit | codes | window (days) | plausible | evidence |\n|---|---|---|---|---|---|---|"


def data_dictionary(features: Iterable[Feature]) -> str:
    """A Markdown table with one row for each feature."""
    return "\n".join([_HEAD, *(_row(feature) for feature in features)]) + "\n"


def _row(feature: Feature) -> str:
    window = str(feature.window_days) if feature.window_days else "at the call"
    plausible = f"{feature.plausible_low:g} to {feature.plausible_high:g}"
    cells = (
        f"`{feature.name}`",
        feature.words,
        feature.unit,
        _read_from(feature),
        window,
        plausible,
        feature.evidence,
    )
    return f"| {' | '.join(cells)} |"


def _read_from(feature: Feature) -> str:
    """Codes or elements; for a yes or no the groups, the classes and the limit that say yes."""
    parts = [", ".join(feature.codes)]
    if feature.groups:
        parts.append(f"condition groups {', '.join(feature.groups)}")
    if feature.classes:
        parts.append(f"classes {', '.join(feature.classes)}")
    if feature.limit is not None:
        parts.append(f"{'over' if feature.strictly else 'from'} {feature.limit:g}")
    return "; ".join(parts)
