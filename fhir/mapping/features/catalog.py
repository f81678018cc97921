"""The features of the project: `FEATURES` is the dictionary from which a model or an equation names them.

Each module of this folder that declares features is listed here; docs/adding/feature.md says how one is added.
"""

from collections.abc import Iterable
from types import ModuleType

from fhir.mapping.features import conditions, egfr, measured, medications, patient, stays
from fhir.mapping.features.feature import Feature

_MODULES: tuple[ModuleType, ...] = (patient, measured, egfr, conditions, medications, stays)
_HEAD = "| feature | words | unit | codes | window (days) | plausible | evidence |\n|---|---|---|---|---|---|---|"


def collect(modules: Iterable[ModuleType]) -> dict[str, Feature]:
    """The features of these modules by name.

    Raises ValueError for a name that is declared twice, with both modules.
    """
    found: dict[str, Feature] = {}
    declared: dict[str, str] = {}
    for module in modules:
        for feature in module.FEATURES:
            if feature.name in found:
                first = declared[feature.name]
                raise ValueError(f"feature {feature.name} is declared twice: in {first} and in {module.__name__}")
            found[feature.name], declared[feature.name] = feature, module.__name__
    return found


FEATURES: dict[str, Feature] = collect(_MODULES)


def features_named(names: tuple[str, ...]) -> tuple[Feature, ...]:
    """The features of these names in this order; an unknown name raises KeyError with the names there are."""
    unknown = [name for name in names if name not in FEATURES]
    if unknown:
        raise KeyError(f"no feature {', '.join(unknown)}; there are: {', '.join(sorted(FEATURES))}")
    return tuple(FEATURES[name] for name in names)


def lint_features(features: Iterable[Feature]) -> list[str]:
    """All faults of all declarations, two features of one name among them; empty when there are none."""
    faults: list[str] = []
    names: set[str] = set()
    for feature in features:
        faults += feature.lint()
        if feature.name in names:
            faults.append(f"{feature.name}: declared twice")
        names.add(feature.name)
    return faults


def data_dictionary(features: Iterable[Feature]) -> str:
    """A Markdown table with one row for each feature, as its declaration says; docs/features.md shows it."""
    return "\n".join([_HEAD, *(_row(feature) for feature in features)]) + "\n"


def _row(feature: Feature) -> str:
    window = str(feature.window_days) if feature.window_days else "at the call"
    plausible = f"{feature.plausible_low:g} to {feature.plausible_high:g}"
    cells = (
        f"`{feature.name}`",
        feature.words,
        feature.unit,
        feature.source_words,
        window,
        plausible,
        feature.evidence,
    )
    return f"| {' | '.join(cells)} |"
