"""What if an input had another value: the recorded equation is asked again with it, and nothing else is changed.

Only inputs that a citable source names as modifiable for this outcome can be changed (models_onnx/equations/
modifiable.csv). The result is an association: it says how often the outcome is among other people who have these
values, not what a treatment does for this person.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from cards.compose.equation import people_in_100
from cds_hooks.pages.explain.recorded_decision import Basis
from cds_hooks.web.numbers import date_of, format_quantity, format_unit, format_value
from models_onnx.equations.arithmetic import Value
from models_onnx.equations.calculate import EquationResult, calculate
from models_onnx.equations.declaration import Equation, EquationInput, equation_digest, find_equations
from models_onnx.equations.modifiable import ModifiableInput, modifiable_inputs
from models_onnx.errors import EquationRefused

NOTHING_CHANGED: Final = "Nothing was changed. Give one of the inputs another value."
_PREFIX: Final = "to-"
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:[.,][0-9]{1,3})?")
_SAME: Final = 1e-6
_LONGEST: Final = 40


class _Scores(Struct, frozen=True):
    """What an equation computed, as the basis of a decision has it; other scores have other members."""

    id: str
    sha256: str
    output: str
    value: float


class Movable(Struct, frozen=True):
    """One input that can be changed: its value as it was recorded, and the source that names it."""

    item: EquationInput
    source: ModifiableInput
    value: Value
    date: str

    @property
    def field(self) -> str:
        """The name of its field in the form."""
        return f"{_PREFIX}{self.item.name}"

    @property
    def unit(self) -> str:
        """Its unit for people."""
        return format_unit(self.item.unit)

    @property
    def is_answer(self) -> bool:
        """Whether it is a yes or no."""
        return self.source.direction == "to-no"

    @property
    def typed(self) -> str:
        """The recorded value as the field has it."""
        return "yes" if self.is_answer else format_value(float(self.value)).replace(",", "")

    @property
    def now(self) -> str:
        """The recorded value with its unit."""
        return "yes" if self.is_answer else format_quantity(float(self.value), self.item.unit)

    @property
    def span(self) -> str:
        """The values that it can be given."""
        return "no" if self.is_answer else f"{format_value(self.source.low or 0.0)} to {self.now}"


class Change(Struct, frozen=True):
    """One input that was changed, before and after."""

    words: str
    before: str
    after: str


class Answer(Struct, frozen=True):
    """The estimate with the changed values: in 100, unrounded in percent, and what was changed."""

    people: int
    percent: float
    changes: tuple[Change, ...]


class WhatIf(Struct, frozen=True):
    """The question and, where it was asked, its answer; `problems` are sentences by field, "" for the whole form."""

    equation: Equation
    words: str
    people: int
    percent: float
    movable: tuple[Movable, ...]
    values: Mapping[str, Value]
    output: str
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    answer: Answer | None = None


def what_if(basis: Basis, of_site: Mapping[str, Value]) -> WhatIf | None:
    """Return what can be changed about this estimate; `of_site` are inputs that are of the place, not of the patient.

    None where no equation was asked, no source names one of its inputs, or the recorded inputs do not give the
    recorded estimate any more: then nothing is said.
    """
    try:
        scores = msgspec.convert(basis.scores, _Scores)
    except msgspec.ValidationError:
        return None
    equation, rows = find_equations().get(scores.id), modifiable_inputs(scores.id, scores.output)
    if equation is None or not rows or equation_digest(equation) != scores.sha256:
        return None
    values = _recorded_values(equation, basis, of_site)
    result = _estimate(equation, values, scores.output)
    if not isinstance(result, EquationResult) or abs(result.number - scores.value) > _SAME:
        return None
    movable = tuple(
        movable_input for row in rows if (movable_input := _movable(equation, row, values, basis)) is not None
    )
    people, percent = people_in_100(result), 100 * result.number
    return WhatIf(equation, result.output.words, people, percent, movable, values, scores.output)


def ask(question: WhatIf, fields: Mapping[str, str]) -> WhatIf:
    """The question with its answer for the fields of the form, or with sentences that say what cannot be used."""
    typed = {movable.field: fields.get(movable.field, movable.typed).strip()[:_LONGEST] for movable in question.movable}
    new: dict[str, Value] = {}
    problems: dict[str, str] = {}
    for movable in question.movable:
        value = _read(movable, typed[movable.field])
        if isinstance(value, str):
            problems[movable.field] = value
        elif value is not None:
            new[movable.item.name] = value
    if not new and not problems:
        problems[""] = NOTHING_CHANGED
    answered = replace(question, typed=typed, problems=problems)
    if problems:
        return answered
    result = _estimate(question.equation, {**question.values, **new}, question.output)
    if not isinstance(result, EquationResult):
        return replace(answered, problems={"": result})
    changes = tuple(
        _change(movable, new[movable.item.name]) for movable in question.movable if movable.item.name in new
    )
    return replace(answered, answer=Answer(people_in_100(result), 100 * result.number, changes))


def _recorded_values(equation: Equation, basis: Basis, of_site: Mapping[str, Value]) -> dict[str, Value]:
    """Return the inputs by name as the equation takes them; what is missing is left out, and it refuses then."""
    values: dict[str, Value] = {}
    for item in equation.inputs:
        if item.name in of_site:
            values[item.name] = of_site[item.name]
        elif item.feature in basis.features:
            values[item.name] = _as_input(item, basis.features[item.feature][0])
        elif item.feature is None and item.kind == "yes-no":  # nothing in a record says it
            values[item.name] = False
    return values


def _as_input(item: EquationInput, number: float) -> Value:
    if item.kind == "choice":  # sex is the only one that a record gives
        return "male" if number else "female"
    return bool(number) if item.kind == "yes-no" else number


def _estimate(equation: Equation, values: Mapping[str, Value], output: str) -> EquationResult | str:
    """Return the result as a card has it, or the sentence of the refusal."""
    try:
        return calculate(equation, values, output)
    except EquationRefused as refused:
        return refused.text


def _movable(equation: Equation, row: ModifiableInput, values: Mapping[str, Value], basis: Basis) -> Movable | None:
    """The input with its value; None where there is nothing left to change: it is no already, or at its lowest."""
    item = equation.input(row.input)
    value = values.get(row.input)
    if not value or (row.low is not None and float(value) <= row.low):
        return None
    return Movable(item, row, value, date_of(basis.features[item.feature or ""][1]))


def _read(movable: Movable, text: str) -> Value | str | None:
    """Return the value that was typed; None where it is the recorded one, a sentence where it cannot be used."""
    if text in (movable.typed, ""):
        return None
    if movable.is_answer:
        return False if text == "no" else f"{movable.item.words} can be left at yes or set to no."
    number = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None
    low = movable.source.low or 0.0
    if number is None or not low <= number < float(movable.value):
        return (
            f"Type a number from {format_value(low)} to less than {movable.now}, the value now. It can only be lowered."
        )
    return number


def _change(movable: Movable, value: Value) -> Change:
    after = "no" if movable.is_answer else format_quantity(float(value), movable.item.unit)
    return Change(movable.item.words, movable.now, after)
