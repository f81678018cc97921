"""What one published equation declares: inputs, outputs, population, bands with their source, how it is worked out.

The catalog of published equations is here too: every module of `models_onnx/equations/published` declares one
`EQUATION`.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.resources import files
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from fhir.mapping.features.catalog import FEATURES, features_named
from fhir.mapping.features.feature import Feature
from fhir.terminology.analytes import ANALYTES
from models_onnx.declarations import find_declared, origin_of, refuse_wrong_types
from models_onnx.equations.arithmetic import Linear, ScoreItem, Value, Working, work_points
from models_onnx.errors import DeclarationError, UnknownEquation
from models_onnx.packages import Package, packages

InputKind = Literal["quantity", "whole", "yes-no", "choice"]
OutputKind = Literal["probability", "quantity", "integer"]
Values = Mapping[str, Value]

SEXES = ("female", "male")
_SEX_NOTE = "SNOMED CT 248152002 female, 248153007 male; anything else gives no score"


class EquationInput(Struct, frozen=True, kw_only=True):
    """One input: what it is called, in which unit, between which limits, and which feature of the record fills it.

    `analyte` is a key of fhir.terminology.analytes, which knows its LOINC codes and the units that convert. Limits are
    the equation's own and belong to it; both ends are inside. `for_outputs` names the outputs that need it (all when
    empty); where it is given it must be in range for every output.
    """

    name: str
    words: str
    kind: InputKind = "quantity"
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    analyte: str | None = None
    feature: str | None = None
    choices: tuple[str, ...] = ()
    for_outputs: tuple[str, ...] = ()
    note: str = ""

    @property
    def loinc(self) -> tuple[str, ...]:
        """LOINC codes of the analyte; none for age, sex and conditions."""
        return ANALYTES[self.analyte].loinc if self.analyte else ()

    @property
    def unit_text(self) -> str:
        """The unit as it stands after a number; empty where there is none."""
        return "" if self.unit == "1" else f" {self.unit}"

    @property
    def words_in_sentence(self) -> str:
        """The words as they stand within a sentence; an abbreviation keeps its capitals."""
        return self.words if self.words[1:2].isupper() else f"{self.words[0].lower()}{self.words[1:]}"

    def is_needed_for(self, output: str) -> bool:
        """Return whether this output cannot be had without it."""
        return not self.for_outputs or output in self.for_outputs


class EquationOutput(Struct, frozen=True, kw_only=True):
    """One result: `kind` says how it reads, `words` end the sentence 'About 12 in 100 people like this …'."""

    id: str
    words: str
    kind: OutputKind
    unit: str = "1"
    horizon_years: float | None = None
    decimals: int = 0
    low: float | None = None
    high: float | None = None


class Band(Struct, frozen=True):
    """One band of an output: from `low` on (or above it, where `strictly`), up to the next band."""

    id: str
    words: str
    low: float | None = None
    strictly: bool = False

    def is_reached(self, value: float) -> bool:
        """Return whether the value is not below this band; compared unrounded."""
        if self.low is None:
            return True
        return value > self.low if self.strictly else value >= self.low


class BandTable(Struct, frozen=True, kw_only=True):
    """The bands of one output, rising, with the guideline that gives them and what of it was read."""

    output: str
    bands: tuple[Band, ...]
    source: str
    verified: str
    note: str = ""
    applies: Callable[[Values], bool] | None = None
    """For whom these bands are; None for everybody."""


class ObservedRates(Struct, frozen=True, kw_only=True):
    """What was observed by score in a published cohort: `of` score → rate, in the words of `unit`."""

    of: Mapping[int, float]
    words: str
    source: str
    verified: str
    note: str = ""


class NarrowerPopulation(Struct, frozen=True):
    """Outputs that are for fewer people than the limits of an input allow: up to `limit`, or `under` it."""

    outputs: tuple[str, ...]
    input: str
    limit: float
    words: str
    under: bool = False

    def leaves_out(self, output: str, value: float) -> bool:
        """Return whether somebody with this value is outside."""
        return output in self.outputs and (value >= self.limit if self.under else value > self.limit)


class Exclusion(Struct, frozen=True):
    """Whom it is not for: in words, and the feature of the record that says so where one does."""

    words: str
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Equation:
    """Everything about one published equation; `reference` says whom contributions are measured against."""

    id: str
    title: str
    version: str
    citation: str
    doi: str | None
    published: str
    inputs: tuple[EquationInput, ...]
    outputs: tuple[EquationOutput, ...]
    population: str
    exclusions: tuple[Exclusion, ...]
    cautions: tuple[str, ...]
    reviewed: str
    """The day on which this declaration was last compared with its sources, as an ISO date."""
    reference: str
    bands: tuple[BandTable, ...] = ()
    rates: tuple[ObservedRates, ...] = ()
    narrower: tuple[NarrowerPopulation, ...] = ()
    linear: Mapping[str, Linear] = field(default_factory=dict)
    """The linear form of each output that has one."""
    items: tuple[ScoreItem, ...] = ()
    """The items of a score that is nothing but points."""
    only_with: tuple[str, ...] = ()
    """Features of the record, any of which must be a yes: whom it is for at all."""
    formula: Callable[..., float] | None = None
    """The function of `fhir/mapping/equations.py` that has the arithmetic, where a feature uses the same equation."""
    work: Callable[[Values, str], Working] | None = None
    """How an output is worked out that is neither linear nor points nor the band of the only input, for values that are
    complete and in range; EquationRefused for what the limits alone do not say."""

    def __post_init__(self) -> None:
        refuse_wrong_types(self)
        for text, about in chain(self._wrong_names(), self._wrong_limits(), self._wrong_inputs()):
            raise DeclarationError(f"{self.id}: {text}", about)

    def _wrong_names(self) -> Iterator[tuple[str, str]]:
        inputs, outputs = [item.name for item in self.inputs], [output.id for output in self.outputs]
        if not outputs:
            yield "there is no output", "outputs"
        if twice := sorted({name for name in (*inputs, *outputs) if inputs.count(name) > 1 or outputs.count(name) > 1}):
            yield f"{', '.join(twice)} is declared twice", twice[0]
        named_outputs = {table.output for table in self.bands} | {
            name for item in self.inputs for name in item.for_outputs
        }
        if strange := sorted(named_outputs - set(outputs)):
            yield f"{', '.join(strange)} is named but is no output", strange[0]
        others = [output for output in self.outputs if output.id not in self.linear]
        if others and self.work is None and not self.items:
            yield "it says nowhere how it is worked out: give it `work`", "work"

    def _wrong_limits(self) -> Iterator[tuple[str, str]]:
        for name in ("title", "version", "citation", "population", "reference"):
            if not getattr(self, name).strip():
                yield f"{name} is empty", name
        for item in self.inputs:
            if item.low is not None and item.high is not None and not item.low < item.high:
                limits = f"{item.low:g} to {item.high:g}"
                yield f"the limits of {item.name} are {limits}; the lower one is first", item.name
        for table in self.bands:
            for below, above in pairwise(table.bands):
                if above.low is None or (below.low is not None and above.low < below.low):
                    yield f"band {above.id} does not begin above band {below.id}; bands rise", above.id
        try:
            date.fromisoformat(self.reviewed)
        except ValueError:
            yield f"reviewed is {self.reviewed!r}; it must be an ISO date such as 2026-11-20", "reviewed"

    def _wrong_inputs(self) -> Iterator[tuple[str, str]]:
        features = {feature.name: feature for feature in self.features}
        for item in self.inputs:
            if item.feature is not None and item.kind in ("quantity", "whole"):
                feature = features[item.feature]
                if (feature.unit, feature.analyte or None) != (item.unit, item.analyte):
                    text = f"input {item.name} is {item.analyte or 'no analyte'} in {item.unit}, but its feature "
                    yield f"{text}{feature.name} is {feature.analyte or 'no analyte'} in {feature.unit}", item.name
            if (item.kind == "choice") != bool(item.choices):
                yield f"{item.name}: choices belong to inputs of that kind only", item.name

    @cached_property
    def inputs_by_name(self) -> Mapping[str, EquationInput]:
        """The same as `inputs`, by name."""
        return {item.name: item for item in self.inputs}

    @cached_property
    def _outputs_by_id(self) -> Mapping[str, EquationOutput]:
        return {output.id: output for output in self.outputs}

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """Every feature that it reads from a record, each once: inputs, exclusions and whom it is for."""
        names = [item.feature for item in self.inputs if item.feature is not None]
        names += [name for exclusion in self.exclusions for name in exclusion.features] + list(self.only_with)
        for name in names:
            if name not in FEATURES:
                text = f"{self.id}: there is no feature {name!r} (fhir/mapping/features){_nearest(name, FEATURES)}"
                raise DeclarationError(text, name)
        return features_named(tuple(dict.fromkeys(names)))

    @cached_property
    def excluded_by(self) -> tuple[tuple[str, str], ...]:
        """Each feature that excludes somebody, with the words of the exclusion."""
        return tuple((name, exclusion.words) for exclusion in self.exclusions for name in exclusion.features)

    def work_out(self, output: str, values: Values) -> Working:
        """Return the working of one output for values that are complete and in range.

        Raises:
            EquationRefused: what the limits alone do not say refuses these values.
        """
        if self.work is not None:
            return self.work(values, output)
        if self.items:
            return work_points(self.items, values)
        return self.linear[output].work(values)

    def input(self, name: str) -> EquationInput:
        """Return the input of that name; KeyError where there is none."""
        return self.inputs_by_name[name]

    def output(self, name: str | None = None) -> EquationOutput:
        """Return the output of that id, the first one for None; KeyError where there is none."""
        return self.outputs[0] if name is None else self._outputs_by_id[name]

    def band(self, output: str, value: float, values: Values) -> tuple[BandTable, Band] | None:
        """Find a value's band and the table it is in; None where the output has no bands or none is for this person."""
        for table in self.bands:
            if table.output == output and (table.applies is None or table.applies(values)):
                return table, [band for band in table.bands if band.is_reached(value)][-1]
        return None


def age(low: float, high: float) -> EquationInput:
    """Age in years, as nearly every equation takes it."""
    note = "completed years at the date of scoring, from Patient.birthDate"
    return EquationInput(name="age", words="Age", unit="a", low=low, high=high, feature="age_years", note=note)


def sex() -> EquationInput:
    """Female or male."""
    return EquationInput(name="sex", words="Sex", kind="choice", choices=SEXES, feature="sex_male", note=_SEX_NOTE)


def measured(
    name: str,
    analyte: str,
    low: float,
    high: float,
    *,
    feature: str | None = None,
    words: str | None = None,
    note: str = "",
) -> EquationInput:
    """Return a laboratory value or vital sign, in the analyte's own unit."""
    meaning = ANALYTES.get(analyte)
    if meaning is None:
        text = f"input {name!r}: there is no analyte {analyte!r} (fhir/terminology/analytes.py)"
        raise DeclarationError(text + _nearest(analyte, ANALYTES), analyte)
    return EquationInput(
        name=name,
        words=words or meaning.words,
        unit=meaning.unit,
        low=low,
        high=high,
        analyte=analyte,
        feature=feature,
        note=note,
    )


def yes_no(name: str, words: str, feature: str | None = None, note: str = "") -> EquationInput:
    """Return a fact that is there or is not."""
    return EquationInput(name=name, words=words, kind="yes-no", feature=feature, note=note)


def _nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence that names the most similar known names; empty where none is similar."""
    near = get_close_matches(name, names, n=3)
    return f"; similar names are {', '.join(near)}" if near else ""


def read_coefficients(name: str) -> Any:
    """Return the document `<name>.json` beside the module of an equation; its member `source` says where it is from."""
    return json.loads((files("models_onnx.equations.published") / f"{name}.json").read_bytes())


def find_equations() -> Mapping[str, Equation]:
    """Return every equation by id, which is also the name of its file.

    Raises:
        DeclarationError: a file declares no EQUATION, one of another name, or one that contradicts itself.
    """
    return _equations_with(packages())


@cache
def _equations_with(_packages: tuple[Package, ...]) -> Mapping[str, Equation]:
    return find_declared("models_onnx.equations.published", "EQUATION", Equation, named_after_file=True)


def get_equation(name: str) -> Equation:
    """Return the equation of that id.

    Raises:
        UnknownEquation: there is none; the message lists those there are.
    """
    equations = find_equations()
    if name not in equations:
        raise UnknownEquation(f"no equation is called {name!r}; there are: {', '.join(equations)}")
    return equations[name]


# The wheel is installed unpacked, so the package's own files have a path.
PUBLISHED = Path(str(files("models_onnx.equations.published")))


def equation_digest(equation: Equation) -> str:
    """Return the SHA-256, hexadecimal, of the module with its coefficients and of the file of its formula."""
    return _source_digest(equation.id, inspect.getsourcefile(equation.formula) if equation.formula else None)


def equation_reference(equation: Equation) -> dict[str, str]:
    """Return id, version and digest."""
    return {"id": equation.id, "version": equation.version, "sha256": equation_digest(equation)}


@cache
def _source_digest(equation_id: str, formula: str | None) -> str:
    origin = origin_of("models_onnx.equations.published", equation_id)
    module = origin.path if origin is not None else PUBLISHED / f"{equation_id}.py"
    coefficients = module.with_suffix(".json")
    sources = [module, *([coefficients] if coefficients.is_file() else []), *([Path(formula)] if formula else [])]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
