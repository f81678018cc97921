"""Features that a site declares as data: `features.toml` in the folder of its models (docs/adding/model.md).

An entry says one thing of the chart: a statistic of a measured quantity (of the tables, or one that the site describes
by its LOINC codes, unit and plausible range), a condition or a procedure by group, code or phrase, medicines by class,
visits by class, or something computed from other features. A declared feature is like any other: training, the server
and scoring read it by the same function, as of the moment asked, and prefetch asks for what it needs.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from math import ceil, isfinite
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.coded import CodedCondition, CodedProcedure, CodeOrPhrase, read_code
from fhir.mapping.features.computed import Band, FirstOf, Formula, IsMissing, names_in
from fhir.mapping.features.conditions import HasCondition
from fhir.mapping.features.feature import Feature, FeatureFault, map_features
from fhir.mapping.features.history import MOST_VALUES, History, Statistic, StepValue, Where, range_of, unit_of
from fhir.mapping.features.measured import Measured
from fhir.mapping.features.patient import TakesMedication
from fhir.mapping.features.stays import EarlierUse
from fhir.mapping.stays import emergency_visits_before, outpatient_visits_before, stays_before
from fhir.record.charts import by_patient, known_at, read_resources
from fhir.record.facts import ANALYTE_POSITION
from fhir.record.measurement import KEY_BY_LOINC
from fhir.record.record import record_from_resources
from fhir.record.site_file import mistake_in
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES, Analyte, units_with_spellings
from fhir.terminology.toml_file import TomlFault, read_toml

FILE = "features.toml"
_LEAST_FACTOR = 1e-12  # from pg to g; beyond it values of any size become 0 or more than a number can be
_LOINC_CODE = re.compile(r"\d{1,5}-\d")
_Text = Annotated[str, Meta(min_length=1, max_length=120)]


class DeclaredFeature(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry `[[feature]]`, which has the members of one kind (`_KINDS`).

    With `analyte` the unit, codes and range are those of the tables. `unit`, `low` and `high` are also those of a
    formula.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
    words: _Text
    evidence: _Text
    window_days: Annotated[int, Meta(ge=1, le=36_600)] | None = None
    analyte: str | None = None
    loinc: tuple[str, ...] = ()
    unit: str | None = None
    also_in: dict[str, float] = {}
    low: float | None = None
    high: float | None = None
    statistic: Statistic | None = None
    last: Annotated[int, Meta(ge=1, le=MOST_VALUES)] | None = None
    where: Where | None = None
    steps: Annotated[int, Meta(ge=2, le=200)] | None = None
    step_hours: Annotated[float, Meta(gt=0, le=8_784)] | None = None
    condition_groups: tuple[str, ...] = ()
    condition_codes: tuple[str, ...] = ()
    condition_phrases: tuple[_Text, ...] = ()
    procedure_codes: tuple[str, ...] = ()
    procedure_phrases: tuple[_Text, ...] = ()
    medication_classes: tuple[str, ...] = ()
    visits: Literal["inpatient", "emergency", "outpatient"] | None = None
    band_of: str | None = None
    limits: tuple[float, ...] = ()
    first_of: tuple[str, ...] = ()
    missing_of: str | None = None
    formula: Annotated[str, Meta(min_length=1, max_length=300)] | None = None

    @property
    def given(self) -> frozenset[str]:
        """The members that say something beyond name, words, evidence and window."""
        defaults = dict(
            zip(self.__struct_fields__[-len(self.__struct_defaults__) :], self.__struct_defaults__, strict=True)
        )
        return frozenset(name for name in defaults if getattr(self, name) not in (None, (), {})) - {"window_days"}


class _Kind(NamedTuple):
    """What an entry of a kind may say: by which members it is known, which others it may have, whether its window."""

    by: frozenset[str]
    more: frozenset[str] = frozenset()
    window: Literal["needed", "possible", "none"] = "none"


_KINDS: Final = (
    _Kind(frozenset({"formula"}), frozenset({"unit", "low", "high"})),
    _Kind(frozenset({"band_of", "limits"})),
    _Kind(frozenset({"first_of"})),
    _Kind(frozenset({"missing_of"})),
    _Kind(frozenset({"visits"}), window="needed"),
    _Kind(frozenset({"medication_classes"})),
    _Kind(frozenset({"condition_groups"}), window="possible"),
    _Kind(frozenset({"condition_codes", "condition_phrases"}), window="possible"),
    _Kind(frozenset({"procedure_codes", "procedure_phrases"}), window="possible"),
    _Kind(
        frozenset({"analyte", "loinc"}),
        frozenset({"unit", "also_in", "low", "high", "statistic", "last", "where", "steps", "step_hours"}),
        "needed",
    ),
)
DECLARED: Final[dict[str, DeclaredFeature]] = {}
"""What was declared, by name: the same entry in two folders is one feature."""
_VISITS: Final = {
    "inpatient": (stays_before, 100.0),
    "emergency": (emergency_visits_before, 200.0),
    "outpatient": (outpatient_visits_before, 400.0),
}
_REST_OF_DAY: Final = 1.0 - 1e-9
"""Of days: a visit of 7 days and 5 hours ago is one of the last 7, as every other fact (`FhirTime.whole_days`)."""


_NOT_OF_STEPS: Final = frozenset({"statistic", "last", "where"})


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    feature: tuple[DeclaredFeature, ...]


def add_declared_features(folder: Path) -> tuple[str, ...]:
    """Make the features of `features.toml` in this folder known to this process; the names, none without the file.

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
        if fault := next((name for name in _names(declaration) if _is_another(name, declaration)), None):
            raise FeatureFault(f"{FILE}: {fault}: there is another feature of this name")
        for feature in _all_made(declaration):
            if faults := feature.lint():
                raise FeatureFault(f"{FILE}: {'; '.join(faults)}")
            FEATURES[feature.name], DECLARED[feature.name] = feature, declaration
    return tuple(name for declaration in declared for name in _names(declaration))


def declared_for(names: Iterable[str]) -> tuple[DeclaredFeature, ...]:
    """Return what a site declares of these features, and of those that they are computed from."""
    found: dict[str, DeclaredFeature] = {}
    wanted = [*names]
    while wanted:
        declaration = DECLARED.get(wanted.pop(0))
        if declaration is not None and declaration.name not in found:
            found[declaration.name] = declaration
            wanted += _inputs_of(declaration)
    return tuple(found.values())


def _names(declaration: DeclaredFeature) -> tuple[str, ...]:
    """Return the names of an entry's features: its own, or those of its steps, the oldest first."""
    if declaration.steps is None:
        return (declaration.name,)
    return tuple(f"{declaration.name}_{step}" for step in range(1, declaration.steps + 1))


def _is_another(name: str, declaration: DeclaredFeature) -> bool:
    return name in FEATURES and DECLARED.get(name) != declaration


def _all_made(declaration: DeclaredFeature) -> Iterator[Feature]:
    """Yield the features of an entry that are not there yet."""
    names = [name for name in _names(declaration) if name not in FEATURES]
    if declaration.steps is None or declaration.step_hours is None:
        yield from (_made(declaration) for _ in names)
        return
    analyte = ANALYTES[declaration.analyte] if declaration.analyte is not None else _own_analyte(declaration)
    low, high, hours = analyte.plausible_low, analyte.plausible_high, declaration.step_hours
    for left, name in zip(range(declaration.steps)[::-1], _names(declaration), strict=True):
        begin, end = (left + 1) * hours, left * hours
        words = f"{declaration.words}, {begin:g} to {end:g} hours before"
        days = ceil(begin / 24)
        if name in names:
            yield StepValue(
                name, words, declaration.evidence, analyte.unit, low, high, analyte.key, days,
                begin_hours=begin, end_hours=end,
            )  # fmt: skip


def _read(path: Path) -> tuple[DeclaredFeature, ...]:
    try:
        document = read_toml(path)
        return msgspec.convert(document, _File).feature
    except TomlFault as error:
        raise FeatureFault(f"{FILE} {error}") from error
    except msgspec.ValidationError as error:
        raise FeatureFault(f"{FILE}: {mistake_in(document, _File, error)[0]}") from error


def _faults(declaration: DeclaredFeature) -> Iterator[str]:
    of_members = (kind for kind in _KINDS if kind.by & declaration.given)
    kind = next(of_members, _KINDS[-1] if declaration.given else None)
    if kind is None:
        yield "it says nothing of the chart: docs/adding/model.md lists what a feature can be"
        return
    strange = sorted(declaration.given - kind.by - kind.more)
    if strange:
        yield f"{strange[0]} is not for a feature with {' or '.join(sorted(kind.by & declaration.given))}"
    is_series = declaration.steps is not None or declaration.step_hours is not None
    if is_series and (None in (declaration.steps, declaration.step_hours) or declaration.given & _NOT_OF_STEPS):
        yield "a series has steps and step_hours, and no statistic, last or where"
    if kind.window == "needed" and declaration.window_days is None and not is_series:
        yield "window_days is missing"
    if (kind.window == "none" or is_series) and declaration.window_days is not None:
        yield "window_days is not for such a feature"
    yield from _of_texts(declaration)
    if "analyte" in kind.by:
        yield from _faults_of_measured(declaration)
    else:
        yield from _faults_of_kind(declaration)


def _faults_of_kind(declaration: DeclaredFeature) -> Iterator[str]:
    try:
        _codes(declaration)
        names = _inputs_of(declaration)
    except ValueError as error:
        yield str(error)
        return
    if unknown := [name for name in names if name not in FEATURES]:
        yield f"there is no feature {unknown[0]!r}; it must be one of docs/features.md or declared before this one"
    elif declaration.first_of and not all(FEATURES[name].is_yes_no for name in names):
        yield "first_of names features that are yes or no"
    if (declaration.band_of is not None or declaration.limits) and (
        declaration.band_of is None
        or list(declaration.limits) != sorted(set(declaration.limits))
        or not declaration.limits
    ):
        yield "a band needs band_of and limits, which rise"
    if declaration.formula is not None and None in (declaration.unit, declaration.low, declaration.high):
        yield "a formula needs unit, low and high"


def _inputs_of(declaration: DeclaredFeature) -> tuple[str, ...]:
    """Return the features that an entry is computed from."""
    if declaration.formula is not None:
        return names_in(declaration.formula)
    single = (declaration.band_of, declaration.missing_of)
    return declaration.first_of or tuple(name for name in single if name is not None)


def _codes(declaration: DeclaredFeature) -> tuple[CodeOrPhrase, ...]:
    """Return the codes and phrases of conditions or procedures."""
    codes = (*declaration.condition_codes, *declaration.procedure_codes)
    phrases = (*declaration.condition_phrases, *declaration.procedure_phrases)
    return (*map(read_code, codes), *(CodeOrPhrase(phrase=" ".join(phrase.lower().split())) for phrase in phrases))


def _of_texts(declaration: DeclaredFeature) -> Iterator[str]:
    texts = {
        "words": (declaration.words,),
        "evidence": (declaration.evidence,),
        "unit": (declaration.unit if declaration.unit is not None else "1",),
        "also_in": declaration.also_in,
        "condition_phrases": declaration.condition_phrases,
        "procedure_phrases": declaration.procedure_phrases,
    }
    for name, parts in texts.items():
        if not all(part.strip() and part.isprintable() for part in parts):
            yield f"{name} is blank, or has a character that cannot be seen"


def _faults_of_measured(declaration: DeclaredFeature) -> Iterator[str]:
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
            f"{name} is that of the analyte {declaration.analyte}"
            for name, value in own_analyte.items()
            if value not in (None, ())
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


def _made(declaration: DeclaredFeature) -> Feature:
    name, words, evidence, days = declaration.name, declaration.words, declaration.evidence, declaration.window_days
    inputs = tuple(FEATURES[of] for of in _inputs_of(declaration))
    if declaration.formula is not None:
        assert declaration.unit is not None and declaration.low is not None and declaration.high is not None  # noqa: S101, PT018 - checked
        low, high = declaration.low, declaration.high
        return Formula(name, words, evidence, declaration.unit, low, high, inputs=inputs, formula=declaration.formula)
    if declaration.band_of is not None:
        limits = declaration.limits
        between = [f"{low:g} to under {high:g}" for low, high in pairwise(limits)]
        choices = (f"under {limits[0]:g}", *between, f"{limits[-1]:g} and over")
        highest = float(len(choices) - 1)
        return Band(
            name, words, evidence, plausible_high=highest, choices=choices, inputs=inputs, limits=declaration.limits
        )
    if declaration.first_of:
        choices = ("none of them", *(feature.words for feature in inputs))
        return FirstOf(name, words, evidence, plausible_high=float(len(inputs)), choices=choices, inputs=inputs)
    if declaration.missing_of is not None:
        return IsMissing(name, words, evidence, inputs=inputs)
    if declaration.visits is not None:
        assert days is not None  # noqa: S101 - checked
        count, most = _VISITS[declaration.visits]
        before = partial(count, days=days + _REST_OF_DAY)
        return EarlierUse(name, words, evidence, plausible_high=most, window_days=days, before=before)
    if declaration.medication_classes:
        return TakesMedication(name, words, evidence, classes=declaration.medication_classes)
    if declaration.condition_groups:
        return HasCondition(name, words, evidence, window_days=days, groups=declaration.condition_groups)
    if wanted := _codes(declaration):
        kind = CodedProcedure if declaration.procedure_codes or declaration.procedure_phrases else CodedCondition
        return kind(name, words, evidence, window_days=days, wanted=wanted)
    return _of_quantity(declaration)


def _of_quantity(declaration: DeclaredFeature) -> Feature:
    analyte = ANALYTES[declaration.analyte] if declaration.analyte is not None else _own_analyte(declaration)
    name, words, evidence, days = declaration.name, declaration.words, declaration.evidence, declaration.window_days
    assert days is not None  # noqa: S101 - checked
    if declaration.statistic in (None, "newest") and declaration.last is None and declaration.where is None:
        low, high = analyte.plausible_low, analyte.plausible_high
        return Measured(name, words, evidence, analyte.unit, low, high, analyte.key, days)
    statistic = declaration.statistic or "newest"
    low, high = range_of(statistic, analyte.key, days)
    return History(
        name, words, evidence, unit_of(statistic, analyte.key), low, high,
        window_days=days,
        quantity=analyte.key,
        statistic=statistic,
        last=declaration.last or 0,
        where=declaration.where or "anywhere",
    )  # fmt: skip


def _own_analyte(declaration: DeclaredFeature) -> Analyte:
    """Return the quantity of its own, known to every reader of records from now on."""
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


def values_in_words(chart: Path, moment: datetime, features: tuple[Feature, ...]) -> Iterator[str]:
    """Yield a line for each feature in a chart: its value as a card shows it with its day, or why there is none.

    Raises:
        ChartsRefused: The file holds no charts.
    """
    for person in by_patient(read_resources(chart)):
        known_resources = known_at(person.patient, person.resources, moment.timestamp())
        vector = map_features(record_from_resources(known_resources, person.id, moment), features)
        for feature, number, evidence in zip(vector.features, vector.values, vector.evidence, strict=True):
            if evidence is not None:
                dated = f" of {evidence.effective[:10]}" if evidence.is_found else ""
                yield f"{feature.name} = {number:g}: {feature.words} {feature.show(evidence)}{dated}"
        for gap in vector.missing:
            yield f"{gap.feature.name} missing ({gap.reason}): {gap.text}"
