"""The features of the project: `FEATURES` is the dictionary from which a model or an equation names them.

Every module of this folder that declares `FEATURES` is found by itself; docs/adding/feature.md says how one is added.
"""

import pkgutil
import traceback
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from fhir.mapping.features.feature import Feature, FeatureFault
from fhir.terminology.analytes import ANALYTES

_PACKAGE = "fhir.mapping.features"
_DECLARES_NOTHING = frozenset({"catalog", "declared", "feature"})
_HEAD = "| feature | words | unit | codes | window (days) | plausible | evidence |\n|---|---|---|---|---|---|---|"


def find_features() -> dict[str, Feature]:
    """Return the features of all modules of this folder, by name, in the order of the files.

    Raises:
        FeatureFault: a module cannot be imported or declares no FEATURES, a feature is declared wrongly or twice.
    """
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return collect(_module(name) for name in names if name not in _DECLARES_NOTHING)


def collect(modules: Iterable[ModuleType]) -> dict[str, Feature]:
    """Return the features of these modules by name.

    Raises:
        FeatureFault: a module declares no FEATURES, a feature is declared wrongly, or a name is declared twice.
    """
    features: dict[str, Feature] = {}
    module_of: dict[str, ModuleType] = {}
    for module in modules:
        declared = getattr(module, "FEATURES", None)
        if not isinstance(declared, tuple) or not all(isinstance(feature, Feature) for feature in declared):
            text = "the file must assign a tuple of Feature objects to the name FEATURES"
            raise FeatureFault(f"{_file(module)}, line 1: {text}")
        for feature in declared:
            faults = feature.lint()
            if feature.name in features:
                other = module_of[feature.name]
                faults.append(
                    f"{feature.name}: already declared in {_file(other)}, line {_lines_of(other, feature)[0]}"
                )
            if faults:
                raise FeatureFault(f"{_file(module)}, line {_lines_of(module, feature)[-1]}: {'; '.join(faults)}")
            features[feature.name], module_of[feature.name] = feature, module
    return features


def _module(name: str) -> ModuleType:
    try:
        return import_module(f"{_PACKAGE}.{name}")
    except SyntaxError as error:
        where = f"{_PACKAGE.replace('.', '/')}/{Path(error.filename or name).name}"
        raise FeatureFault(f"{where}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        sentence = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise FeatureFault(f"{_line_of(error, name)}: {sentence}") from error


def _line_of(error: Exception, name: str) -> str:
    """Return the innermost line of a module of this folder at which the error came up while the module was imported."""
    folder, line = Path(__file__).parent, f"{name}.py, line 1"
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.name == "<module>" and Path(frame.filename).parent == folder:
            line = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"{_PACKAGE.replace('.', '/')}/{line}"


def _file(module: ModuleType) -> str:
    return f"{module.__name__.replace('.', '/')}.py"


def _lines_of(module: ModuleType, feature: Feature) -> list[int]:
    """Find the lines of the module's file with the name in quotes; the first line where it is put together of parts."""
    lines = Path(module.__file__ or "").read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if f'"{feature.name}"' in line] or [1]


FEATURES: dict[str, Feature] = find_features()


def add_features(modules: Iterable[ModuleType]) -> None:
    """Make the features of modules from outside known; those that are known already are left as they are.

    Raises:
        FeatureFault: as `collect`, or a feature of ours has the name.
    """
    added = collect(modules)
    for name, feature in added.items():
        if FEATURES.get(name, feature) is not feature:
            raise FeatureFault(f"{name}: there is another feature of this name")
    FEATURES.update(added)


def features_named(names: tuple[str, ...]) -> tuple[Feature, ...]:
    """Return the features of these names in this order; an unknown name raises KeyError with the names there are."""
    unknown = [name for name in names if name not in FEATURES]
    if unknown:
        raise KeyError(f"no feature {', '.join(unknown)}; there are: {', '.join(sorted(FEATURES))}")
    return tuple(FEATURES[name] for name in names)


def data_dictionary(features: Iterable[Feature]) -> str:
    """Return a Markdown table with one row for each feature, as its declaration says; docs/features.md shows it."""
    return "\n".join([_HEAD, *(_row(feature) for feature in features)]) + "\n"


def _units(feature: Feature) -> str:
    """Return the unit, and by how much values of other units are multiplied."""
    quantities = [ANALYTES[name] for name in feature.analytes]
    if len(quantities) != 1 or quantities[0].unit != feature.unit:
        return feature.unit
    unit_by_factor: dict[str, str] = {}
    for unit, conversion in quantities[0].units.items():
        factor = f"{conversion.factor:.9g}" + (f" {conversion.offset:+.9g}" if conversion.offset else "")
        unit_by_factor.setdefault(factor, unit)
    others = [f"{unit} × {factor}" for factor, unit in unit_by_factor.items() if factor != "1" and unit]
    return "; ".join([feature.unit, *others])


def _row(feature: Feature) -> str:
    window = str(feature.window_days) if feature.window_days else "the stay" if feature.only_in_stay else "at the call"
    plausible = f"{feature.plausible_low:g} to {feature.plausible_high:g}"
    cells = (
        f"`{feature.name}`",
        feature.words,
        _units(feature),
        feature.source_words,
        window,
        plausible,
        feature.evidence,
    )
    return f"| {' | '.join(cells)} |"
