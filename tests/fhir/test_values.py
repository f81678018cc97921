"""What nobody states of a value of this floor is no or zero, and what nobody asks for is off."""

import dataclasses
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import FunctionType
from typing import Any

from msgspec import NODEFAULT, Struct, structs

import fhir.client
import fhir.mapping
import fhir.record
import fhir.terminology
from tests.each import for_rows
from tests.fhir.readings import CONFIRM, READERS, changes

STATED_OTHERWISE = {
    "Feature.plausible_high": 1.0, "FeatureValue.is_found": True, "HospitalUse.only_in_stay": True,
    "StayDiagnosis.only_in_stay": True, "DischargeDestination.only_in_stay": True,
    "AdmissionDisease.only_in_stay": True, "PastLimit.limit": float("inf"), "FetchLimits.pages": 20,
    "FetchLimits.bytes": 10_485_760, "DoseUnit.factor": 1.0, "GeneReading.is_final": True,
}  # fmt: skip
ON_WITHOUT_A_WORD = {
    "presence_of.systemic",
    "unreadable_medications.systemic",
    "_as_sig.once_a_day",
    "assign_strengths.in_order",
}


def classes() -> Iterator[type[Any]]:
    for package in (fhir.mapping, fhir.record, fhir.terminology, fhir.client):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(import_module(module.name)).values():
                if inspect.isclass(value) and value.__module__ == module.name:
                    yield value


def functions() -> Iterator[FunctionType]:
    for package in (fhir.mapping, fhir.record, fhir.terminology, fhir.client):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(import_module(module.name)).values():
                members = vars(value).values() if inspect.isclass(value) else (value,)
                yield from (
                    member
                    for member in map(inspect.unwrap, filter(callable, members))
                    if isinstance(member, FunctionType) and member.__module__ == module.name
                )


def defaults_of(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """The numbers and answers that a class has where nobody states them; those it inherits stand with their class."""
    if issubclass(kind, Struct):
        fields = {field.name: field.default for field in structs.fields(kind) if field.default is not NODEFAULT}
    elif dataclasses.is_dataclass(kind):
        fields = {field.name: field.default for field in dataclasses.fields(kind)}
    else:
        return
    for name, default in fields.items():
        if name in inspect.get_annotations(kind) and isinstance(default, bool | int | float):
            yield f"{kind.__name__}.{name}", default


def test_what_a_value_does_not_state_is_no_or_zero() -> None:
    stated = {name: default for kind in classes() for name, default in defaults_of(kind) if default}
    assert stated == STATED_OTHERWISE


def test_an_option_that_is_not_stated_is_off() -> None:
    on = {
        f"{function.__qualname__}.{parameter.name}"
        for function in functions()
        if function.__name__ != "__init__"
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is True
    }
    assert on == ON_WITHOUT_A_WORD


# Words of charts and orders are read as reviewed: doses, drugs, problems, genes, allergies, studies and vaccines.
@for_rows("group", READERS)
def test_words_are_read_as_reviewed(group: str) -> None:
    differ = list(changes(group))
    shown = "\n".join(f"{before}\n   now: {now}" for before, now in differ[:5])
    assert not differ, f"{len(differ)} texts of {group} are read otherwise; {CONFIRM}\n{shown}"
