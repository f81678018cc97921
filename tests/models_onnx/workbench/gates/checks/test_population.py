"""G12 on models that keep out whom they are not for, and on some that do not."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from models_onnx.artifact.manifest import Manifest, RequiredInputGroup, RequiredInputs
from models_onnx.workbench.gates.checks import population
from models_onnx.workbench.gates.gate import Verdict
from models_onnx.workbench.gates.subject import Subject
from tests.models_onnx.workbench.gates.formula import INPUTS, NOTHING, changed, linear, subject

Array = NDArray[np.float64]
PRODUCT = {"data_last_year": 2020, "setting": "outpatient"}
GROUPS = (RequiredInputGroup(name="labs", words="labs", members=("age", "sodium", "smoker"), at_least=2),)


def _about(
    low: float = 18, always: tuple[str, ...] = ("age",), groups: tuple[RequiredInputGroup, ...] = (), **more: Any
) -> Manifest:
    """What the rules read of a manifest."""
    facts = {"id": "falls", "title": "Falls", "population": SimpleNamespace(age_low=low, words="adults"),
             "features": INPUTS, "required": RequiredInputs(always=always, groups=groups), "twin": None,
             "feature": lambda name: next(each for each in INPUTS if each.name == name)}  # fmt: skip
    return cast(Manifest, SimpleNamespace(**facts | more))


def _subject(about: Manifest | None = None, answers: Callable[[Array], Any] = linear, **more: Any) -> Subject:
    about = about or _about()
    return subject(answers, manifest=about, product=PRODUCT, features=about.features, **more)


def test_a_model_that_keeps_out_whom_it_is_not_for() -> None:
    assert population.check_population(_subject(_about(groups=GROUPS)), NOTHING) == Verdict(
        "Too young, of unknown age, too few inputs, outside the range: no score, and the reason is said. Data until "
        "2020.",
        (),
        {"setting": "outpatient", "last": 2020},
    )


def test_a_rule_that_keeps_nobody_out_is_named_for_each_person_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "not_in_population", lambda _manifest, _age: None)
    monkeypatch.setattr(population, "not_scored", lambda _manifest, _values: None)
    verdict = population.check_population(_subject(_about(always=("age", "smoker"), groups=GROUPS)), NOTHING)
    assert verdict.faults == (
        "a person of unknown age gets a score; it is for adults",
        "a person whose age is not a number gets a score; it is for adults",
        "a person of 17 gets a score; it is for adults",
        "without age, which must be there, a person gets a score",
        "without smoker, which must be there, a person gets a score",
        "with fewer than 2 of the labs a person gets a score",
        "age 19.8 is outside what it was built on, and is scored",
        "age 90.9 is outside what it was built on, and is scored",
        "sodium 118.8 is outside what it was built on, and is scored",
        "sodium 161.6 is outside what it was built on, and is scored",
        "smoker -0.01 is outside what it was built on, and is scored",
        "smoker 1.01 is outside what it was built on, and is scored",
    )


@pytest.mark.parametrize(("low", "tried"), [(0, [None, "nan"]), (1, [None, "nan", 0.0]), (18, [None, "nan", 17.0])])
def test_the_ages_that_are_tried(low: float, tried: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ages: list[Any] = []
    monkeypatch.setattr(population, "not_in_population", lambda _manifest, age: ages.append(age))
    population._age_faults(_about(low))
    assert [age if age is None or age == age else "nan" for age in ages] == tried


def test_a_file_without_marks_keeps_nobody_out() -> None:
    for member in ("missing", "out_of_range", "contributions"):
        silent = changed(**{member: lambda _rows, _value: None})
        assert len(population._range_faults(_subject(answers=silent), _about())) == 6, member


def test_a_file_marks_by_its_own_masks_what_is_missing() -> None:
    row = np.array([np.nan, 140.0, 0.0])
    assert not population._file_lets_through(_subject(), _about(), row)
    forgets = changed(missing=lambda _rows, mark: mark & False)
    assert population._file_lets_through(_subject(answers=forgets), _about(), row)
