"""The hooks of the library and the fields of their contexts.

Source: HL7/cds-hooks-library (main 5d04c4d and v1.0.1), as the checklist's section 5 tables give it.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a hook's context: its JSON type, whether it is required, whether it may be a prefetch token."""

    hook: str
    name: str
    required: bool
    token: bool
    type: str


_YES = ("yes",)


def _fields() -> tuple[Field, ...]:
    text = files("cds_hooks.contract").joinpath("hooks.csv").read_text(encoding="utf-8")
    return tuple(
        Field(each["hook"], each["field"], each["required"] in _YES, each["token"] in _YES, each["type"])
        for each in csv.DictReader(text.splitlines())
    )


FIELDS = _fields()
HOOKS = tuple(dict.fromkeys(field.hook for field in FIELDS))
# The metadata tables and change logs of these pages disagree with each other (trap 15): both values are right.
HOOK_VERSIONS = {
    "patient-view": ("1.0", "1.1"),
    "order-sign": ("1.0", "1.1.0", "1.1"),
    "order-select": ("1.0", "1.0.2"),
    "order-dispatch": ("1.1",),
    "encounter-start": ("1.0",),
    "encounter-discharge": ("1.0",),
    "appointment-book": ("1.0",),
    "allergyintolerance-create": ("0.1.0",),
    "problem-list-item-create": ("0.1.0",),
    "medication-refill": ("0.1.0",),
    "medication-verify": ("0.1.0", "1.0"),
    "medication-prescribe": ("1.0",),
    "order-review": ("1.0",),
}


def fields_of(hook: str) -> tuple[Field, ...]:
    """The fields of this hook's context; none for a hook that is not in the library."""
    return tuple(field for field in FIELDS if field.hook == hook)
