"""Models are found by themselves, and a specification that contradicts itself is refused."""

from dataclasses import replace
from typing import Any

import pytest

from models_onnx.errors import DeclarationError, UnknownModel
from models_onnx.models.mortality_5y import SPEC
from models_onnx.spec import InputSpec, RequiredGroup, find_specs, get_spec


def test_a_model_is_found_by_its_file() -> None:
    assert find_specs()["mortality_5y"] is SPEC


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"there are: .*mortality_5y"):
        get_spec("mortality_50y")


def test_an_input_that_is_no_feature_is_refused() -> None:
    with pytest.raises(DeclarationError, match="horoscope"):
        replace(SPEC, inputs=(*SPEC.inputs, InputSpec("horoscope")))


def test_an_input_declared_twice_is_refused() -> None:
    with pytest.raises(DeclarationError, match="twice"):
        replace(SPEC, inputs=(*SPEC.inputs, SPEC.inputs[0]))


def test_a_required_input_that_is_not_an_input_is_refused() -> None:
    with pytest.raises(DeclarationError, match="height"):
        replace(SPEC, always_required=("height",))


def test_the_default_capacity_must_be_one_of_the_capacities() -> None:
    with pytest.raises(DeclarationError, match=r"0\.5"):
        replace(SPEC, capacity=0.5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"population": replace(SPEC.population, exclude_conditions=("banana",))}, "banana is no key of"),
        ({"decision_role": "replaces"}, "'replaces' is not one of informs, augments"),
        ({"inputs": (replace(SPEC.inputs[0], rises=2), *SPEC.inputs[1:])}, "rises of age_years"),
        ({"capacities": (0.1, 0.9)}, r"capacities \[0.9\] are not above 0 and at most 0.5"),
        (
            {"required_groups": (RequiredGroup("pair", "a pair", ("age_years", "sex_male"), 3),)},
            "pair wants 3 of 2 inputs",
        ),
        ({"standardise_by": "ward"}, "no subgroup axis 'ward'"),
        ({"alerts_per_event": 1.0}, "alerts_per_event"),
    ],
)
def test_an_unknown_name_or_an_impossible_number_is_refused_where_it_is_declared(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(DeclarationError, match=said):
        replace(SPEC, **changes)


def test_no_input_tells_race_income_or_education() -> None:
    forbidden = ("race", "ethnic", "income", "poverty", "education", "payer")
    for spec in find_specs().values():
        for item in spec.inputs:
            told = f"{item.name} {item.described()['words']}".lower()
            assert not any(word in told for word in forbidden), told
