"""A hook: its name, its published version, and how its context is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import msgspec
from msgspec import Raw, structs

from cds_hooks.errors import BadRequest
from cds_hooks.protocol.hooks.context import Context
from cds_hooks.protocol.wording import place_in, plain_words

Members = dict[str, Raw]
Modernise = Callable[[Members], Members]

_BRACE: Final = ord("{")
_members: Final = msgspec.json.Decoder(Members)


@dataclass(frozen=True)
class Hook:
    """One hook. `tokens` are the context fields that a prefetch template may use up to CDS Hooks 2.0.1 (TOK-04)."""

    name: str
    context: type[Context]
    version: str
    tokens: frozenset[str] = field(default=frozenset({"userId", "patientId", "encounterId"}), kw_only=True)
    modernise: Modernise | None = field(default=None, kw_only=True)
    """Gives the members of an earlier version of the hook, or of its published examples, today's names."""

    def read(self, members: Raw) -> Context:
        """The typed context; BadRequest names the field that is missing, blank or of the wrong JSON type."""
        try:
            context = self._decoder.decode(members if self.modernise is None else _renamed(members, self.modernise))
        except msgspec.ValidationError as error:
            raise self._refused(error) from error
        for attribute, name in self._texts:
            if not getattr(context, attribute).strip():
                raise BadRequest(f"context.{name} is blank; it is required for {self.name}.", f"context.{name}")
        for attribute, name, required in self._objects:
            value = memoryview(getattr(context, attribute))
            if value[0] != _BRACE and (required or bytes(value) != b"null"):
                raise BadRequest(f"context.{name} is no JSON object, as {self.name} has it.", f"context.{name}")
        if "/" in context.patient_id or (context.encounter_id is not None and "/" in context.encounter_id):
            return _with_bare_ids(context)
        return context

    @cached_property
    def fields(self) -> Mapping[str, bool]:
        """The names of its context fields on the wire; True for those that are required."""
        return {each.encode_name: each.required for each in structs.fields(self.context)}

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Context]:
        return msgspec.json.Decoder(self.context)

    @cached_property
    def _texts(self) -> tuple[tuple[str, str], ...]:
        return tuple((each.name, each.encode_name) for each in structs.fields(self.context) if _is_text(each))

    @cached_property
    def _objects(self) -> tuple[tuple[str, str, bool], ...]:
        found = [each for each in structs.fields(self.context) if each.type is Raw]
        return tuple((each.name, each.encode_name, each.required) for each in found)

    def _refused(self, error: msgspec.ValidationError) -> BadRequest:
        text = f"context does not fit {self.name}: {plain_words(error)} (in context)."
        return BadRequest(text, place_in(error, "context"))


def _renamed(members: Raw, modernise: Modernise) -> bytes:
    return msgspec.json.encode(modernise(_members.decode(members)))


def _is_text(each: structs.FieldInfo) -> bool:
    """Whether the field is a required string: GEN-06 says that such a one may not be blank either."""
    return bool(each.required and each.type is str)


def _with_bare_ids(context: Context) -> Context:
    """`Patient/1` and `Encounter/1` as the bare ids they should be: clients mix the two forms up (TRAP-35)."""
    changed: dict[str, Any] = {}
    for attribute, name, kind in (("patient_id", "patientId", "Patient"), ("encounter_id", "encounterId", "Encounter")):
        value: str | None = getattr(context, attribute)
        if value is None or "/" not in value:
            continue
        *_, owner, identity = value.split("/_history/", 1)[0].split("/")
        if owner != kind or not identity:
            raise BadRequest(f"context.{name} is no id of a {kind}; send the bare id.", f"context.{name}")
        changed[attribute] = identity
    return structs.replace(context, **changed)
