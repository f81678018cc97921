"""From the bytes of a hook call to a typed request; what is wrong is said with its place, never with its value."""

from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from cds_hooks.errors import BadRequest, TooDeep
from cds_hooks.protocol.hooks import CONTEXTS, Context
from fhir.record.reader import read_value
from fhir.record.refusal import Refusal
from fhir.record.resources import AnyResource


class _Wire(Struct, frozen=True, gc=False):
    hook: str
    hookInstance: str
    context: Raw
    fhirServer: str | None = None
    prefetch: dict[str, AnyResource | None] | None = None
    extension: Raw = Raw(b"null")


class _WireUnread(Struct, frozen=True):
    """The same with every prefetch value left as bytes: for calls that the quick decoder refuses."""

    hook: str
    hookInstance: str
    context: Raw
    fhirServer: str | None = None
    prefetch: dict[str, Raw] | None = None
    extension: Raw = Raw(b"null")


class CDSRequest(Struct, frozen=True, gc=False):
    """One hook call: its context typed, its prefetch as lean resources by key (None: asked, none found)."""

    hook: str
    hook_instance: str
    context: Context
    prefetch: dict[str, Any]
    refusals: list[Refusal]
    wants_timings: bool


_quick: Final = msgspec.json.Decoder(_Wire)
_careful: Final = msgspec.json.Decoder(_WireUnread)


def read_request(body: bytes, hooks: tuple[str, ...]) -> CDSRequest:
    """The typed request; BadRequest where a required field is missing or of the wrong type, or the hook is another one.

    Resources in prefetch that cannot be read are not an error: they are in `refusals`.
    """
    wire, prefetch, refusals = _decode(body)
    if not wire.hookInstance.strip():
        raise BadRequest("hookInstance is blank; send a UUID that is unique to this call.", "hookInstance")
    if wire.hook not in hooks:
        raise BadRequest(
            f"This service answers {' and '.join(hooks)}; the body says another hook. See GET /cds-services.", "hook"
        )
    return CDSRequest(
        hook=wire.hook,
        hook_instance=wire.hookInstance,
        context=_read_context(wire.hook, wire.context),
        prefetch=prefetch,
        refusals=refusals,
        wants_timings=b'"timings"' in bytes(wire.extension),
    )


def _decode(body: bytes) -> tuple[_Wire | _WireUnread, dict[str, Any], list[Refusal]]:
    try:
        wire = _quick.decode(body)
    except msgspec.ValidationError:
        return _decode_carefully(body)
    except RecursionError as error:
        raise TooDeep("The body is nested deeper than any FHIR resource; nothing was read.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not valid JSON ({_plain(error)}).") from error
    return wire, wire.prefetch or {}, []


def _decode_carefully(body: bytes) -> tuple[_WireUnread, dict[str, Any], list[Refusal]]:
    prefetch: dict[str, Any] = {}
    refusals: list[Refusal] = []
    try:
        wire = _careful.decode(body)
        for key, raw in (wire.prefetch or {}).items():
            prefetch[key], refused = read_value(key, raw)
            refusals += refused
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body is not a CDS Hooks request: {_plain(error)}.", _place(error)) from error
    except RecursionError as error:
        raise TooDeep("The body is nested deeper than any FHIR resource; nothing was read.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not valid JSON ({_plain(error)}).") from error
    return wire, prefetch, refusals


def _read_context(hook: str, raw: Raw) -> Context:
    try:
        context: Context = CONTEXTS[hook].decode(raw)
    except msgspec.ValidationError as error:
        place = _place(error, "context")
        raise BadRequest(f"context does not fit {hook}: {_plain(error)} (in context).", place) from error
    for name, value in (("userId", context.user_id), ("patientId", context.patient_id)):
        if not value.strip():
            raise BadRequest(f"context.{name} is blank; it is required for {hook}.", f"context.{name}")
    return context


def _plain(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    return str(error).replace("`", "").replace("$.", "").replace("JSON is malformed: ", "")


def _place(error: Exception, root: str = "") -> str | None:
    _, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    return ".".join(part for part in (root, path) if part) or None
