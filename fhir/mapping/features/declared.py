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
    for number, said in enumerate(declared):
        fault = next(_faults(said), None)
        if any(said.name == other.name for other in declared[:number]):
            fault = "it is declared twice"
        if fault is not None:
            raise FeatureFault(f"{FILE}: {said.name}: {fault}")
        known = FEATURES.get(said.name)
        made = _made(said)
        if known is not None and not _is_same(known, made):
            raise FeatureFault(f"{FILE}: {said.name}: there is another feature of this name")
        if known is None:
            FEATURES[said.name] = made
    return tuple(said.name for said in declared)


def _read(path: Path) -> tuple[DeclaredFeature, ...]:
    try:
        return msgspec.convert(read_toml(path), _File).feature
    except TomlFault as error:
        raise FeatureFault(f"{FILE} {error}") from error
    except msgspec.ValidationError as error:
        raise FeatureFault(f"{FILE}: {str(error).replace('`', '')}") from error


def _faults(said: DeclaredFeature) -> Iterator[str]:
    own = {"loinc": said.loinc, "unit": said.unit, "low": said.low, "high": said.high}
    if said.analyte is not None:
        if said.analyte not in ANALYTES:
            yield f"there is no analyte {said.analyte!r}; docs/features.md has them, or give loinc, unit, low and high"
        yield from (f"{name} is that of the analyte {said.analyte}" for name, value in own.items() if value)
        return
    yield from (f"{name} is missing" for name, value in own.items() if value is None or value == ())
    for code in said.loinc:
        known = ANALYTE_BY_LOINC.get(code)
        if not _LOINC_CODE.fullmatch(code):
            yield f"{code!r} is no LOINC code"
        elif known is not None and known.key != said.name:
            yield f"LOINC {code} is the analyte {known.key} of the tables: write analyte = {known.key!r}"
    if said.low is not None and said.high is not None and said.low >= said.high:
        yield f"the plausible range {said.low:g} to {said.high:g} is empty"
    if not all(isfinite(limit) for limit in (said.low, said.high) if limit is not None):
        yield "low and high are numbers: without an end of its range no value is refused"
    yield from (
        f"the factor of {unit} is not a number above 0 with which values can be converted"
        for unit, factor in said.also_in.items()
        if not _LEAST_FACTOR <= factor <= 1 / _LEAST_FACTOR
    )
    texts = {"words": (said.words,), "evidence": (said.evidence,), "unit": (said.unit or "",), "also_in": said.also_in}
    for name, found in texts.items():
        if not all(each.strip() and each.isprintable() for each in found):
            yield f"{name} is blank, or has a character that cannot be seen"


def _made(said: DeclaredFeature) -> Measured:
    analyte = ANALYTES[said.analyte] if said.analyte is not None else _own_analyte(said)
    return Measured(
        said.name,
        said.words,
        said.evidence,
        analyte.unit,
        analyte.plausible_low,
        analyte.plausible_high,
        analyte.key,
        said.window_days,
    )


def _own_analyte(said: DeclaredFeature) -> Analyte:
    """The quantity of its own, known to every reader of records from now on."""
    if said.name in ANALYTES:
        return ANALYTES[said.name]
    assert said.unit is not None and said.low is not None and said.high is not None  # noqa: S101, PT018 - checked
    analyte = Analyte(
        key=said.name,
        words=said.words,
        kind="lab",
        unit=said.unit,
        loinc=said.loinc,
        plausible_low=said.low,
        plausible_high=said.high,
        units=units_with_spellings({said.unit: 1.0, **said.also_in}),
        refused_when_haemolysed=False,
        source=FILE,
    )
    ANALYTES[analyte.key] = analyte
    ANALYTE_POSITION[analyte.key] = len(ANALYTE_POSITION)
    for code in analyte.loinc:
        ANALYTE_BY_LOINC[code] = analyte
        KEY_BY_LOINC[code] = analyte.key
    return analyte


def _is_same(known: Any, made: Measured) -> bool:
    own = ("words", "unit", "plausible_low", "plausible_high", "analyte", "window_days")
    return isinstance(known, Measured) and all(getattr(known, name) == getattr(made, name) for name in own)
