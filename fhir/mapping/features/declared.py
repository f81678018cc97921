"""Features that a site declares as data: `features.toml` in the folder of its models (docs/adding/hospital-model.md).

A feature here is the newest value of a measured quantity within a window: of a quantity that the tables have
(`analyte`), or of one that the site describes by its LOINC codes, unit and plausible range. A declared feature is like
any other: training, the server and scoring read it by the same function, and prefetch asks for its codes.
"""

import re
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import FeatureFault
from fhir.mapping.features.measured import Measured
from fhir.record.measurement import KEY_BY_LOINC
from fhir.record.results import ANALYTE_POSITION
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES, Analyte, units_with_spellings
from fhir.terminology.toml_file import TomlFault, read_toml

FILE = "features.toml"
_LEAST_FACTOR = 1e-12  # from pg to g; beyond it values of any size become 0 or more than a number can be
_LOINC_CODE = re.compile(r"\d{1,5}-\d")
_Text = Annotated[str, Meta(min_length=1, max_length=120)]


class DeclaredFeature(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry `[[feature]]`. With `analyte` the unit, codes and range are those of the tables."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
    words: _Text
    evidence: _Text
    window_days: Annotated[int, Meta(ge=1, le=36_600)]
    analyte: str | None = None
    loinc: tuple[str, ...] = ()
    unit: str | None = None
    also_in: dict[str, float] = {}
    low: float | None = None
    high: float | None = None


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    feature: tuple[DeclaredFeature, ...]


def add_declared_features(folder: Path) -> tuple[str, ...]:
    """Makes the features of `features.toml` in this folder known to this process; the names, none without the file.

    A feature that is known already with the same declaration is left as it is.

    Raises:
        FeatureFault: The file is not readable, or a feature is not declared as it must be.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    declared = _read(path)
    for number, declaration in enumerate(declared):
        fault = next(_faults(declaration), None)
        if any(declaration.name == other.name for other in declared[:number]):
            fault = "it is declared twice"
        if fault is not None:
            raise FeatureFault(f"{FILE}: {declaration.name}: {fault}")
        feature = FEATURES.get(declaration.name)
        made = _made(declaration)
        if feature is not None and not _is_same(feature, made):
            raise FeatureFault(f"{FILE}: {declaration.name}: there is another feature of this name")
        if feature is None:
            FEATURES[declaration.name] = made
    return tuple(declaration.name for declaration in declared)


def _read(path: Path) -> tuple[DeclaredFeature, ...]:
    try:
        return msgspec.convert(read_toml(path), _File).feature
    except TomlFault as error:
        raise FeatureFault(f"{FILE} {error}") from error
    except msgspec.ValidationError as error:
        raise FeatureFault(f"{FILE}: {str(error).replace('`', '')}") from error


def _faults(declaration: DeclaredFeature) -> Iterator[str]:
    own_analyte = {
        "loinc": declaration.loinc,
        "unit": declaration.unit,
        "low": declaration.low,
        "high": declaration.high,
    }
    if declaration.analyte is not None:
        if declaration.analyte not in ANALYTES:
            yield (
                f"there is no analyte {declaration.analyte!r}; docs/features.md has them, "
                "or give loinc, unit, low and high"
            )
        yield from (
            f"{name} is that of the analyte {declaration.analyte}" for name, value in own_analyte.items() if value
        )
        return
    yield from (f"{name} is missing" for name, value in own_analyte.items() if value is None or value == ())
    for code in declaration.loinc:
        analyte = ANALYTE_BY_LOINC.get(code)
        if not _LOINC_CODE.fullmatch(code):
            yield f"{code!r} is no LOINC code"
        elif analyte is not None and analyte.key != declaration.name:
            yield f"LOINC {code} is the analyte {analyte.key} of the tables: write analyte = {analyte.key!r}"
    if declaration.low is not None and declaration.high is not None and declaration.low >= declaration.high:
        yield f"the plausible range {declaration.low:g} to {declaration.high:g} is empty"
    if not all(isfinite(limit) for limit in (declaration.low, declaration.high) if limit is not None):
        yield "low and high are numbers: without an end of its range no value is refused"
    yield from (
        f"the factor of {unit} is not a number above 0 with which values can be converted"
        for unit, factor in declaration.also_in.items()
        if not _LEAST_FACTOR <= factor <= 1 / _LEAST_FACTOR
    )
    texts = {
        "words": (declaration.words,),
        "evidence": (declaration.evidence,),
        "unit": (declaration.unit or "",),
        "also_in": declaration.also_in,
    }
    for name, parts in texts.items():
        if not all(part.strip() and part.isprintable() for part in parts):
            yield f"{name} is blank, or has a character that cannot be seen"


def _made(declaration: DeclaredFeature) -> Measured:
    analyte = ANALYTES[declaration.analyte] if declaration.analyte is not None else _own_analyte(declaration)
    return Measured(
        declaration.name,
        declaration.words,
        declaration.evidence,
        analyte.unit,
        analyte.plausible_low,
        analyte.plausible_high,
        analyte.key,
        declaration.window_days,
    )


def _own_analyte(declaration: DeclaredFeature) -> Analyte:
    """The quantity of its own, known to every reader of records from now on."""
    if declaration.name in ANALYTES:
        return ANALYTES[declaration.name]
    assert declaration.unit is not None and declaration.low is not None and declaration.high is not None  # noqa: S101, PT018 - checked
    analyte = Analyte(
        key=declaration.name,
        words=declaration.words,
        kind="lab",
        unit=declaration.unit,
        loinc=declaration.loinc,
        plausible_low=declaration.low,
        plausible_high=declaration.high,
        units=units_with_spellings({declaration.unit: 1.0, **declaration.also_in}),
        refused_when_haemolysed=False,
        source=FILE,
    )
    ANALYTES[analyte.key] = analyte
    ANALYTE_POSITION[analyte.key] = len(ANALYTE_POSITION)
    for code in analyte.loinc:
        ANALYTE_BY_LOINC[code] = analyte
        KEY_BY_LOINC[code] = analyte.key
    return analyte


def _is_same(feature: Any, made: Measured) -> bool:
    attributes = ("words", "unit", "plausible_low", "plausible_high", "analyte", "window_days")
    return isinstance(feature, Measured) and all(getattr(feature, name) == getattr(made, name) for name in attributes)
