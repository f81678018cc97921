"""Drafts the declaration of a fitted model from its file and a table, and says all at once what does not fit.

Names are compared word by word: a column that is called like one feature is taken for it, and the draft says so. A
unit, a code or an outcome is never guessed: what the file and the table do not say is a sentence for a person.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.feature import Feature
from fhir.mapping.features.measured import Measured
from fhir.mapping.features.patient import Age, Sex
from fhir.terminology.analytes import ANALYTES, Analyte
from fhir.terminology.plain_file import unreadable
from models_onnx.errors import TrainingRefused
from models_onnx.model_card.schema import DECLARED
from models_onnx.spec.model_file import cell_text
from models_onnx.workbench.training.sources import ModelSource

MOST_GROUPS = 10
# Of a column in its own unit hardly any value is implausible, of one in another unit most are.
_MOST_OUTSIDE, _FEW_OUTSIDE = 0.5, 0.05
_UNITS = frozenset((
    "mg", "dl", "g", "l", "ml", "mmol", "umol", "u", "ul", "fl", "pct", "mmhg", "cel", "kg", "m2", "per", "min", "a",
    "d", "days", "years", "year", "pg", "ng", "iu", "meq", "10e3", "10e6", "value", "latest", "last", "result",
))  # fmt: skip
_SEX = {"m": 1, "male": 1, "man": 1, "1": 1, "f": 0, "female": 0, "woman": 0, "0": 0}
_YES = {"yes": 1, "y": 1, "true": 1, "no": 0, "n": 0, "false": 0}
_PATIENT = re.compile(r"(?:^|_)(?:patient|person|subject|participant|mrn|pid|id)(?:_|$)", re.IGNORECASE)
_RACE = re.compile(r"race|ethnic", re.IGNORECASE)
_WINDOW_DAYS = 365


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person who asks for a draft says: outcome, patient, horizon, and features and columns by input."""

    days: float
    outcome: str | None = None
    words: str | None = None
    patient: str | None = None
    features: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


@dataclass(slots=True)
class Draft:
    """A declaration as text, entries for features.toml, what does not fit, and what was taken for granted.

    `groups` is what is added to the declaration of a file that cannot be explained input by input; none are needed for
    few inputs.
    """

    name: str
    declaration: str = ""
    features: str = ""
    problems: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    in_stay: bool = False
    axes: tuple[str, ...] = ()
    groups: str = ""


@dataclass(slots=True)
class _Input:
    called: str
    column: str = ""
    feature: str = ""
    analyte: str = ""
    is_required: bool = False
    lines: list[str] = field(default_factory=list)


def model_name(path: Path) -> str:
    """Return an id for the model of a file: small letters, digits and _.

    >>> model_name(Path("Falls model (v2).onnx"))
    'falls_model_v2'
    """
    name = re.sub(r"[^a-z0-9]+", "_", path.name.partition(".")[0].lower()).strip("_")
    return name if name[:1].isalpha() else f"model_{name}"


def draft(name: str, source: ModelSource, file: str, table: Path, rows: pd.DataFrame, asked: Asked) -> Draft:
    """Return the draft of the model `name`, whose file lies as `file` beside the declaration."""
    made = Draft(name)
    outcome = _outcome(rows, asked, source, made)
    patient = _patient(rows, asked, source, made)
    row = _row(rows, patient, source, made)
    inputs = list(_inputs(source, rows, {outcome, patient, row}, asked, made))
    for item in inputs:
        _match(item, inputs, rows, {outcome, patient}, asked, made)
        _fit_values(item, source, rows, asked, made)
    _refuse_twice(inputs, made)
    made.features = "".join(_feature_entry(ANALYTES[item.analyte], item.feature) for item in inputs if item.analyte)
    features = [FEATURES.get(item.feature) for item in inputs]
    made.in_stay = any(feature is not None and feature.only_in_stay for feature in features)
    axes = dict(_axes(inputs, rows))
    made.axes = tuple(axes)
    if len(inputs) > MOST_GROUPS:
        lines = [f"{json.dumps(name)} = {json.dumps(members)}" for name, members in _groups(inputs).items()]
        made.groups = "\n".join(("", "[groups]  # what is explained together", *lines, ""))
    made.declaration = _text(made, source, file, table, outcome, (patient, row), inputs, axes, asked)
    return made


def _outcome(rows: pd.DataFrame, asked: Asked, source: ModelSource, made: Draft) -> str:
    if asked.outcome is not None:
        if asked.outcome not in rows.columns:
            made.problems.append(f"the table has no column {asked.outcome} (--outcome); it has {_listed(rows.columns)}")
        elif not set(pd.to_numeric(rows[asked.outcome], errors="coerce").dropna().unique()) <= {0, 1}:
            made.problems.append(f"the outcome {asked.outcome} has values beside 0 and 1: write it as 0 and 1")
        return asked.outcome
    binary = [
        str(name)
        for name in rows.columns
        if name not in source.inputs
        and pd.api.types.is_numeric_dtype(rows[name])
        and set(rows[name].dropna().unique()) == {0, 1}
    ]
    if len(binary) == 1:
        made.taken.append(f"the outcome is {binary[0]}, the only column of 0 and 1 that is no input (--outcome)")
        return binary[0]
    there = f"of 0 and 1 are {_listed(binary)}" if binary else "is none of 0 and 1 that is no input"
    made.problems.append(f"which column is the outcome? There {there}: name it with --outcome")
    return binary[0] if binary else "OUTCOME"


def _patient(rows: pd.DataFrame, asked: Asked, source: ModelSource, made: Draft) -> str:
    if asked.patient is not None:
        if asked.patient not in rows.columns:
            made.problems.append(f"the table has no column {asked.patient} (--patient); it has {_listed(rows.columns)}")
        return asked.patient
    names = [str(name) for name in rows.columns if _PATIENT.search(str(name)) and name not in source.inputs]
    if len(names) == 1:
        made.taken.append(f"the patient is {names[0]} (--patient)")
        return names[0]
    made.problems.append(
        f"which column names the patient? {_listed(names) if names else 'None is called so'}: name it with --patient, "
        "so that nobody is in two folds"
    )
    return names[0] if names else "PATIENT"


def _row(rows: pd.DataFrame, patient: str, source: ModelSource, made: Draft) -> str:
    """Return the column that names a row where a patient has several; '' where it is the patient."""
    if patient not in rows.columns or not (several := int(rows[patient].duplicated().sum())):
        return ""
    for name in map(str, rows.columns):
        if name not in source.inputs and not pd.api.types.is_float_dtype(rows[name]) and rows[name].is_unique:
            made.taken.append(f"a patient has several rows, and each is named by {name} (row)")
            return name
    made.problems.append(
        f"{patient}: {several:,} rows are of a patient who has another row: give the table a column with a number of "
        "its own in each row, such as that of the stay"
    )
    return ""


def _inputs(source: ModelSource, rows: pd.DataFrame, others: set[str], asked: Asked, made: Draft) -> Iterator[_Input]:
    names = source.inputs or asked.inputs
    if not source.inputs and asked.inputs and source.count not in (None, len(asked.inputs)):
        made.problems.append(f"the file takes {source.count} numbers, and --inputs names {len(asked.inputs)}")
    if not names:
        left = [str(name) for name in rows.columns if name not in others and pd.api.types.is_numeric_dtype(rows[name])]
        if source.count is not None and len(left) != source.count:
            made.problems.append(
                f"the file takes {source.count} numbers without names, and the table has {len(left)} columns of "
                f"numbers beside outcome and patient ({_listed(left)}): name them in the file's order, --inputs A,B,C, "
                "or export it with named inputs (skl2onnx.to_onnx with a data frame)"
            )
        names = tuple(left)
        made.taken.append(
            f"the file's inputs have no names; they are taken in the order of the table: {_listed(names)}"
        )
    for name in names:
        yield _Input(name)


def _match(
    item: _Input, inputs: Sequence[_Input], rows: pd.DataFrame, others: set[str], asked: Asked, made: Draft
) -> None:
    """Find the feature of an input and its column in the table."""
    columns = list(map(str, rows.columns))
    by_case = {_plain(name): name for name in columns}
    item.column = asked.columns.get(item.called) or by_case.get(_plain(item.called), "")
    item.feature, item.analyte = _feature(item.called, asked, made)
    if not item.column and item.feature:
        used = {other.called for other in inputs} | others
        left = [name for name in columns if name not in used and item.feature in dict(_candidates(name))]
        if len(left) == 1:
            item.column = left[0]
            made.taken.append(f"{item.called} of the file is the column {left[0]} (--column)")
    if not item.column or item.column not in columns:
        near = get_close_matches(item.called, columns, 3, 0.5)
        hint = f"; near to it are {_listed(near)}" if near else ""
        what = item.column or item.called
        made.problems.append(
            f"{item.called}: the table has no column {what}{hint}: name it, --column {item.called}=COLUMN"
        )
        item.column = ""


def _feature(called: str, asked: Asked, made: Draft) -> tuple[str, str]:
    """Return the feature of this input, and the analyte from which features.toml has to make it; '' for none."""
    if (name := asked.features.get(called)) is not None:
        if name in FEATURES:
            return name, ""
        near = get_close_matches(name, FEATURES, 3, 0.5)
        made.problems.append(f"--as {called}={name}: there is no such feature; near to it are {_listed(near)}")
        return "", ""
    candidates = dict(_candidates(called))
    if len(candidates) == 1:
        ((name, analyte),) = candidates.items()
        if name != called:
            new = f", which features.toml is given (its window of {_WINDOW_DAYS} days is to be set)" if analyte else ""
            made.taken.append(f"{called} is the feature {name}{new} (--as)")
        return name, analyte
    several = f"it may be {_listed(candidates)}: choose" if candidates else "no feature has this name: choose one"
    made.problems.append(
        f"{called}: {several}, --as {called}=FEATURE (docs/features.md), or describe a feature of your own, with its "
        "LOINC code, in features.toml"
    )
    return "", ""


def _candidates(name: str) -> Iterator[tuple[str, str]]:
    """Yield the features that this name may mean, the nearest kind only, each with its analyte where it is new."""
    if name in FEATURES:
        yield name, ""
        return
    words = _words(name)
    plain = [feature for feature in FEATURES.values() if not feature.name.startswith("stay_")]
    exact = [feature for feature in plain if words and words in _spoken(feature)]
    if exact:
        yield from ((feature.name, "") for feature in exact)
        return
    analytes = [
        analyte for analyte in ANALYTES.values() if words and words in (_words(analyte.key), _words(analyte.words))
    ]
    if analytes:
        yield from ((f"{analyte.key}_own", analyte.key) for analyte in analytes)
        return
    begins = [feature for feature in plain if any(_begins(words, spoken) for spoken in _spoken(feature))]
    yield from ((feature.name, "") for feature in begins if isinstance(feature, Measured | Age | Sex))


def _spoken(feature: Feature) -> list[frozenset[str]]:
    names = [feature.name.removeprefix("has_").removeprefix("takes_"), feature.words]
    names += [feature.analyte] if isinstance(feature, Measured) else []
    if isinstance(feature, Sex):
        names += ["male", "gender", "sex"]
    return [words for name in names if (words := _words(name))]


def _begins(words: frozenset[str], spoken: frozenset[str]) -> bool:
    """Return whether every word is the beginning of one, of four letters or more."""
    return bool(words) and all(len(word) >= 4 and any(other.startswith(word) for other in spoken) for word in words)


def _words(name: str) -> frozenset[str]:
    """Return the words of a name without units.

    >>> sorted(_words("SodiumLast_mmol_l")), sorted(_words("Age at visit"))
    (['sodium'], ['age', 'at', 'visit'])
    """
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return frozenset(re.findall(r"[a-z0-9]+", split.lower())) - _UNITS


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _fit_values(item: _Input, source: ModelSource, rows: pd.DataFrame, asked: Asked, made: Draft) -> None:
    """Compare the values of the column with the feature: texts, and numbers of another unit."""
    feature = FEATURES.get(item.feature)
    if not item.column or (feature is None and not item.analyte):
        return
    column = rows[item.column]
    # of what no row lacks nobody can see what a tree does without it; an ONNX file puts a value in its place
    is_learned = source.path.suffix.lower() != ".onnx"
    item.is_required = isinstance(feature, Age | Sex) or (is_learned and bool(column.notna().all()))
    if not pd.api.types.is_numeric_dtype(column):
        _fit_texts(item, source, column, feature, made)
        return
    if item.called in source.texts:
        made.problems.append(f"{item.called}: the file takes texts, and the column {item.column} has numbers")
        return
    if isinstance(feature, Sex) and "male" not in _words(item.called):
        made.taken.append(f"in {item.column} 1 is male and 0 is female")
    values = pd.to_numeric(column, errors="coerce").dropna().to_numpy(dtype=np.float64)
    analyte = ANALYTES[item.analyte] if item.analyte else None
    low, high, unit = (
        (analyte.plausible_low, analyte.plausible_high, analyte.unit)
        if analyte is not None
        else (feature.plausible_low, feature.plausible_high, feature.unit)  # type: ignore[union-attr]  # one of both
    )
    measured = analyte or (ANALYTES.get(feature.analyte) if feature is not None else None)
    if (unit_given := asked.units.get(item.called)) is not None:
        conversion = measured.conversion(unit_given) if measured is not None else None
        if conversion is None or conversion.offset:
            made.problems.append(f"--unit {item.called}={unit_given}: {item.feature} has no such unit; it is in {unit}")
            return
        item.lines.append(f"factor = {conversion.factor!r}")
        values = values * conversion.factor
    outside = _outside(values, low, high)
    if not len(values) or outside <= _MOST_OUTSIDE:
        return
    fitting = dict(_fitting_units(measured, values, low, high)) if measured is not None else {}
    if fitting:
        choices = ", or ".join(f"--unit {item.called}={name}" for name in fitting)
        item.lines += [f"# factor = {factor:.6g}  # {name} in {unit}" for name, factor in fitting.items()]
        hint = f"if file and table have it in another unit, say which: {choices}"
    else:
        hint = f"no unit of the tables fits: convert file and table to {unit}"
    made.problems.append(
        f"{item.column}: {outside:.0%} of its values are outside {low:g} to {high:g} {unit} of {item.feature}, their "
        f"middle is {float(np.median(values)):.4g}: {hint}"
    )


def _fit_texts(item: _Input, source: ModelSource, column: pd.Series, feature: Feature | None, made: Draft) -> None:
    texts = sorted({cell_text(cell) or "" for cell in column.dropna()})
    words = _SEX if isinstance(feature, Sex) else _YES
    numbers = {text: words.get(text.lower()) for text in texts}
    if item.called in source.texts:
        item.lines.append("is_text = true")
    if len(texts) <= 20 and None not in numbers.values():
        item.lines.append(
            f"values = {{ {', '.join(f'{json.dumps(text)} = {number}' for text, number in numbers.items())} }}"
        )
        return
    shown = ", ".join(texts[:5]) + (" …" if len(texts) > 5 else "")
    item.lines.append("# values = { … }  # the number of each text")
    made.problems.append(
        f"{item.column}: its values are texts ({shown}): write the number of each in values of {item.feature}, as "
        f'values = {{ "{texts[0] if texts else "text"}" = 1 }}, in {made.name}.model.toml'
    )


def _fitting_units(analyte: Analyte, values: Any, low: float, high: float) -> Iterator[tuple[str, float]]:
    """Yield units in which the values are plausible, each factor once."""
    factors: set[float] = set()
    for unit, conversion in analyte.units.items():
        if conversion.factor in factors or conversion.offset or conversion.factor == 1.0:
            continue
        if _outside(values * conversion.factor, low, high) <= _FEW_OUTSIDE:
            factors.add(conversion.factor)
            yield unit, conversion.factor


def _outside(values: Any, low: float, high: float) -> float:
    return float(((values < low) | (values > high)).mean()) if len(values) else 0.0


def _refuse_twice(inputs: Sequence[_Input], made: Draft) -> None:
    for name in sorted({item.feature for item in inputs if item.feature}):
        same = [item.called for item in inputs if item.feature == name]
        if len(same) > 1:
            made.problems.append(f"{_listed(same)} are one feature, {name}: say what each is, --as INPUT=FEATURE")


def _axes(inputs: Sequence[_Input], rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the axes of fairness that the table has: sex, age band, race and ethnicity."""
    for item in inputs:
        if item.feature == "sex_male" and item.column:
            texts = sorted({cell_text(cell) or "" for cell in rows[item.column].dropna()})
            codes = {text: _SEX[text.lower()] for text in texts if text.lower() in _SEX}
            words = {text: ("female", "male")[code] for text, code in codes.items()}
            values = ", ".join(f"{json.dumps(text)} = {json.dumps(word)}" for text, word in words.items())
            yield "sex", f"{{ column = {json.dumps(item.column)}, values = {{ {values} }} }}"
        if item.feature == "age_years" and item.column:
            yield "age band", f"{{ column = {json.dumps(item.column)}, bands = [18, 45, 65, 80] }}"
    for name in map(str, rows.columns):
        if _RACE.search(name):
            yield name.lower(), f"{{ column = {json.dumps(name)} }}"


def _groups(inputs: Sequence[_Input]) -> dict[str, list[str]]:
    """Return groups of inputs by what they are, at most ten, for a file that is explained by groups."""
    groups: dict[str, list[str]] = {}
    for item in inputs:
        feature = FEATURES.get(item.feature)
        if isinstance(feature, Age | Sex):
            kind = "person"
        elif item.analyte or (feature is not None and feature.measured is not None):
            measured = ANALYTES[item.analyte] if item.analyte else feature.measured  # type: ignore[union-attr]  # one of both
            kind = {"lab": "laboratory values", "vital": "vital signs"}.get(measured.kind, "other measurements")  # type: ignore[union-attr]
        elif item.feature.startswith("takes_"):
            kind = "medication"
        elif feature is not None and feature.is_yes_no:
            kind = "conditions"
        else:
            kind = "use of care and scores"
        groups.setdefault(kind, []).append(item.feature or item.called)
    return groups


def _feature_entry(analyte: Analyte, name: str) -> str:
    return f"""
[[feature]]
name = {json.dumps(name)}
words = {json.dumps(analyte.words)}
evidence = "an input of our own model; say here why"
analyte = {json.dumps(analyte.key)}
window_days = {_WINDOW_DAYS}
"""


def _text(
    made: Draft,
    source: ModelSource,
    file: str,
    table: Path,
    outcome: str,
    keys: tuple[str, str],
    inputs: Sequence[_Input],
    axes: Mapping[str, str],
    asked: Asked,
) -> str:
    """Return the declaration: what is known, and in their places what a person has to say."""
    quoted, days = json.dumps, f"{asked.days:g}"
    words = asked.words or f"had {outcome} within {days} days"
    if not asked.words:
        made.taken.append(f"a card says of the outcome {words!r} (--words)")
    has_age = any(item.feature == "age_years" for item in inputs)
    lines = [
        "# Drafted by cds-hooks model preview from the file and the table. Read every line; texts that begin with TODO",
        "# are yours. docs/adding/model.md lists the members.",
        f"source = {quoted(file)}",
        'trained_on = "TODO: on whom it was trained; nobody of them may be in the table"',
        'version = "0.1.0"',
        f"title = {quoted(f'{made.name.replace(chr(95), chr(32)).capitalize()}: {outcome} within {days} days')}",
        f"table = {quoted(table.name)}",
        f"patient = {quoted(keys[0])}",
        *([f"row = {quoted(keys[1])}"] if keys[1] else []),
        'period = "TODO: the years of the table"',
        'population = "adults"' if has_age else 'population = "the people of the table"',
        f"age_low = {18 if has_age else 0}",
        'intended_use = "TODO: who does what with it. Gives information to consider."',
        'users = "TODO: the professionals who read the card"',
        'not_for = ["emergencies"]',
        'cautions = ["TODO: what a reader has to know."]',
        f"outcome = {{ column = {quoted(outcome)}, words = {quoted(words)}, horizon_days = {days} }}",
    ]
    if source.path.suffix.lower() != ".onnx" and not all(item.is_required for item in inputs):
        lines += ["# trees have learned from people without an input", 'missing_inputs = "learned"']
    if source.run_id:
        metrics = ", ".join(f"{quoted(name)} = {value!r}" for name, value in source.metrics.items())
        lines.append(f"origin = {{ run_id = {quoted(source.run_id)}, metrics = {{ {metrics} }} }}")
    lines += ["", "[subgroups]", *(f"{quoted(axis)} = {text}" for axis, text in axes.items())]
    for item in inputs:
        lines += [
            "",
            "[[input]]",
            f"feature = {quoted(item.feature or 'TODO')}",
            f"called = {quoted(item.called)}",
        ]
        lines += [f"column = {quoted(item.column or 'TODO')}", *item.lines]
        lines += ["required = true"] if item.is_required else []
    return "\n".join(lines) + "\n"


def draft_words(made: Draft) -> dict[str, Any]:
    """Return the words of the model card that are to be written, by their place; empty where they are missing."""
    names = ("developer", "funding")
    attributes = {f"details.{name}": "" for name in names} | {"development.relevance": ""}
    attributes |= {"fairness.approach": "", "fairness.mitigation": ""}
    axis = next(iter(made.axes), "sex")
    return {
        "attributes": attributes,
        "product": {
            "acting_window_hours": None,
            "setting": "discharge" if made.in_stay else "outpatient",
            "data_last_year": None,
            "label": {
                "kind": "outcome",
                "words": "",
                "stands_for": "",
                "audit": {"need": "", "words": "", "axis": axis},
            },
            "fairness_axes": {axis: "calibration" if axis.startswith("age") else "all" for axis in made.axes},
            "auroc_floor": 0.6,
            "stress_move_at_most": 0.2,
            "irm": {"reviewed": "", "by": "", **dict.fromkeys(DECLARED)},
            "waivers": [],
            "keywords": [],
            "bibliography": "",
        },
    }


def draft_service(made: Draft, title: str) -> str:
    """Return a service that shows the model."""
    return f"""# Drafted by cds-hooks model preview: the words of the card are yours to write.
id = {json.dumps(f"{made.name.replace('_', '-')}-estimate"[:64])}
hook = "{"encounter-discharge" if made.in_stay else "patient-view"}"
model = {json.dumps(made.name)}
title = {json.dumps(title[:80])}
description = "Shows the estimate of the model {made.name}."
usage_requirements = "For the professionals whom the declaration names; never shown to patients."
summary = "Estimate: {{estimate}} (higher than {{higher}} in 100). Consider what it means for the plan."
closing = "For planning, not for emergencies."

[[orders]]
label = "Order a review"
text = "Review of the estimate"
"""


def read_plain_table(path: Path) -> pd.DataFrame:
    """Return a table as it stands; TrainingRefused where it is none."""
    from models_onnx.workbench.training.data.cohort import read_csv

    if not path.is_file():
        raise TrainingRefused(f"{unreadable(path)}: give the table of people on whom the model was not trained")
    return read_csv(path, {"low_memory": False})


def _listed(names: Iterable[object]) -> str:
    texts = list(map(str, names))
    return ", ".join(texts[:20]) + (f" and {len(texts) - 20} more" if len(texts) > 20 else "") if texts else "none"
