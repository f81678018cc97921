"""Reads the bytes of a hook call into a typed request. Errors name the place, never the value."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct, field, structs

from cards.extension import EXTENSION_KEY, VERSION
from cds_hooks.call.protocol.body import (
    check_density,
    check_depth,
    check_head,
    check_text,
    split_off_prefetch,
    without_prefetch,
)
from cds_hooks.call.protocol.hooks import LIBRARY, REPLACED, Context, Hook
from cds_hooks.call.protocol.visit_memory import ReadPrefetch, SentPrefetches
from cds_hooks.errors import BadRequest, PayloadTooLarge, TooDeep
from fhir.record.datatypes import with_single_blanks
from fhir.record.record import read_repaired
from fhir.record.refusals import Refusal, describe_decoder_error, error_path, json_kind, not_json
from fhir.record.resources import AnyResource, Bundle

_PLACE: Final = "fhirAuthorization"


class FhirAuthorization(Struct, frozen=True, gc=False):
    """`fhirAuthorization` of a request (checklist rows FHIR-03 to FHIR-10). The token is in no representation of it."""

    access_token: str
    token_type: str
    scope: str | None = None
    """Scopes granted, of SMART v1 or v2, divided by spaces. The FHIR server is who judges by them."""
    subject: str | None = None
    """Our client id at the client's authorization server. Required by the specification and missing in practice."""
    expires_in: float | str | None = None
    """Seconds. Required by the specification and missing in practice (TRAP-41): the token is used at once or never."""
    patient: str | None = None
    """The one patient that the token is limited to."""

    def __repr__(self) -> str:
        return "FhirAuthorization(…)"


_WEB: Final = ("http://", "https://")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}:|//", re.IGNORECASE)


def usable_server(fhir_server: str | None) -> tuple[str | None, Refusal | None]:
    """Return the address of the call's FHIR server, or why it is not used: it is not an address of the web.

    Raises:
        BadRequest: It has another scheme than http or https, such as file; the message does not repeat it.
    """
    address = (fhir_server or "").strip()
    if not address or address[:8].lower().startswith(_WEB):
        return fhir_server, None
    if _SCHEME.match(address):
        raise BadRequest(
            "`fhirServer` must begin with http:// or https://; received an address that begins otherwise. "
            "Nothing was read from it or computed.",
            "fhirServer",
        )
    return None, Refusal(
        "fhirServer", "malformed", "`fhirServer` must be an http or https address; it was not used, the prefetch was."
    )


def usable_authorization(
    authorization: FhirAuthorization | None, fhir_server: str | None, patient_id: str
) -> tuple[FhirAuthorization | None, Refusal | None]:
    """Return the authorization, or why it is not used; the prefetch is judged without it.

    Raises:
        BadRequest: Its token is of another type, or is for another patient; no message holds a value of it.
    """
    if authorization is None:
        return None, None
    if authorization.token_type.lower() != "bearer":
        raise BadRequest(
            "`fhirAuthorization.token_type` must be `Bearer`; received another type. Nothing was computed.",
            f"{_PLACE}.token_type",
        )
    if not authorization.access_token.strip():  # HL7's CRD request generator sends "" where nobody has logged in
        text = (
            "`fhirAuthorization.access_token` must be a token; received blank text. It was not used, the prefetch was."
        )
        return None, Refusal(_PLACE, "not-used", text)
    if authorization.patient is not None and authorization.patient.removeprefix("Patient/") != patient_id:
        raise BadRequest(
            "`fhirAuthorization.patient` must be the patient of `context.patientId`; received another one. "
            "Nothing was computed.",
            f"{_PLACE}.patient",
        )
    if not (fhir_server or "").strip():
        text = "fhirAuthorization came without a usable fhirServer: the token was not used, the prefetch was."
        return None, Refusal(_PLACE, "not-used", text)
    return authorization, None


class EntryLimits(NamedTuple):
    """The most Bundle entries that one key of a call's prefetch may hold, and that all may hold."""

    of_a_key: int = 10_000
    of_all: int = 30_000


_NO_MORE: Final = EntryLimits()
_MOST_KEYS: Final = 1_000
"""Of a prefetch: we ask for at most some forty. Each costs a moment of the event loop, 29,000 of them 0.4 s."""
_LONGEST_NAMED_KEY: Final = 40
_MISSPELT: Final = 0.8
"""How alike a text and the name of a hook are (0 to 1) where it is shown as that name misspelt."""
LONGEST_ID: Final = 512
"""Characters of an id by which decisions are found: PostgreSQL's index takes 2,704 bytes of it, and all decisions that
are written together with a longer one are refused. The longest id of CDS Hooks' examples has 194."""


class _Whose(Struct, frozen=True, gc=False):
    patientId: Annotated[str, Meta(max_length=LONGEST_ID)] = ""


class HookRequest(Struct, frozen=True):
    """A hook call (CDS Hooks 2.0.1), with every prefetch value left as bytes."""

    hook: str
    hookInstance: str
    context: Raw
    fhirServer: str | None = None
    fhirAuthorization: FhirAuthorization | None = None
    prefetch: Raw = field(default_factory=lambda: Raw(b"null"))
    """By key of GET /cds-services: a FHIR R4 resource or Bundle; null for none found."""
    extension: Raw = field(default_factory=lambda: Raw(b"null"))


class CDSRequest(Struct, frozen=True, gc=False):
    """One hook call: its context typed, its prefetch as lean resources by key (None: asked, none found)."""

    hook: str
    hook_instance: str
    context: Context
    prefetch: dict[str, Any]
    refusals: list[Refusal]
    wants_timings: bool
    read: ReadPrefetch | None = None
    """Its prefetch with what was made of it in this visit; None in a replay."""
    extension_version: int = VERSION
    """The version of the answer's extension that the client asks for."""
    fhir_server: str | None = None
    fhir_authorization: FhirAuthorization | None = None
    extension: bytes = b"null"
    """The extension of the request as JSON; null in a replay."""

    @property
    def order_bytes(self) -> int:
        """How much JSON the orders in the context are; 0 for a hook without orders."""
        context = self.context
        orders = getattr(context, "draft_orders", None) or getattr(context, "medications", None)
        return len(bytes(orders)) if isinstance(orders, Raw) else 0


ActualHook: TypeAlias = Callable[[str, Raw], str]
"""What a vendor means by a hook and the request's `extension`: the name of a hook, the same one mostly."""

Recall: TypeAlias = Callable[[str], SentPrefetches | None]
"""What the client sent before about the patient of this id; None where nothing is kept (`visit_memory.py`)."""

_NULL: Final = b"null"
# Up to CDS Hooks 1.0 these stood beside `hook`; today they are context.userId and the like (checklist row REQ-17).
_BEFORE_1_0: Final = {"user": "userId", "patient": "patientId", "encounter": "encounterId"}

_USER_BESIDE_HOOK: Final = Refusal(
    "context.userId",
    "misplaced",
    "The user stood beside hook and was taken from there: since 1.0 it is context.userId.",
)

_BRACE: Final = ord("{")
_members: Final = msgspec.json.Decoder(dict[str, Raw])
_prefetch: Final = msgspec.json.Decoder(dict[str, Raw] | None)
_wire: Final = msgspec.json.Decoder(HookRequest)
_whose: Final = msgspec.json.Decoder(_Whose)
_quick_prefetch: Final = msgspec.json.Decoder(dict[str, AnyResource | None] | None)
_quick_value: Final = msgspec.json.Decoder(AnyResource | None)


def read_request(
    body: bytes,
    hooks: Mapping[str, Hook],
    actual_hook: ActualHook | None = None,
    limits: EntryLimits = _NO_MORE,
    recall: Recall | None = None,
) -> CDSRequest:
    """Return the typed request; BadRequest if a required field is missing or of a wrong type, or the hook is another.

    PayloadTooLarge where its prefetch has more entries than `limits` allow.

    Resources in prefetch that cannot be read are not an error: they are in `refusals`. `actual_hook` is the client's
    dialect, asked only about a hook that is not among `hooks`. A prefetch that `recall` knows is not read again.
    """
    try:
        return _read(body, hooks, actual_hook, limits, recall)
    except BadRequest as error:
        moved = _with_user_in_context(body)
        if moved is not None:
            request = _read(moved, hooks, actual_hook, limits, recall)
            request.refusals.append(_USER_BESIDE_HOOK)
            return request
        advice = _advice(body)
        if advice is None:
            raise
        raise BadRequest(f"{error.text} {advice}", error.expression) from error


def _read(
    body: bytes,
    hooks: Mapping[str, Hook],
    actual_hook: ActualHook | None,
    limits: EntryLimits,
    recall: Recall | None,
) -> CDSRequest:
    wire, read = _decode(body, recall, limits)
    if not wire.hookInstance.strip():
        raise BadRequest(
            "`hookInstance` must be a UUID that is unique to this call; received blank text. Nothing was computed.",
            "hookInstance",
        )
    if len(wire.hookInstance) > LONGEST_ID:
        raise BadRequest(
            f"`hookInstance` has more than {LONGEST_ID} characters; send a UUID. Nothing was computed.", "hookInstance"
        )
    extension = bytes(wire.extension)
    if extension != _NULL and not extension.startswith(b"{"):
        raise BadRequest(
            f"`extension` must be a JSON object; received {json_kind(extension)}. Nothing was computed.", "extension"
        )
    hook = hooks.get(wire.hook)
    if hook is None and actual_hook is not None:
        hook = hooks.get(actual_hook(wire.hook, wire.extension))
    if hook is None:
        raise _other_hook(wire.hook, hooks)
    context = read_context(hook, wire.context)
    fhir_server, server_refusal = usable_server(wire.fhirServer)
    authorization, token_refusal = usable_authorization(wire.fhirAuthorization, fhir_server, context.patient_id)
    return CDSRequest(
        hook=hook.name,
        hook_instance=wire.hookInstance,
        context=context,
        # What is not kept is emptied with the request.
        prefetch=dict(read.values) if read.is_kept else read.values,
        refusals=[*read.refusals, *filter(None, (server_refusal, token_refusal))],
        wants_timings=b'"timings"' in extension,
        read=read,
        extension_version=_extension_version(extension),
        fhir_server=fhir_server,
        fhir_authorization=authorization,
        extension=extension,
    )


class _OfServer(Struct, frozen=True):
    """What a client asks of this server's extension of the answer."""

    version: Literal[1, 2] = VERSION


class _Extension(Struct, rename={"ours": EXTENSION_KEY}):
    ours: _OfServer = _OfServer()


_extension: Final = msgspec.json.Decoder(_Extension)


def _extension_version(extension: bytes) -> int:
    if b'"version"' not in extension or EXTENSION_KEY.encode() not in extension:
        return VERSION
    try:
        return _extension.decode(extension).ours.version
    except msgspec.MsgspecError as error:
        text = f"extension.{EXTENSION_KEY}.version must be 1 or {VERSION}, the versions of the answer's extension."
        raise BadRequest(text, f"extension.{EXTENSION_KEY}.version") from error


def request_of_context(
    name: str,
    hook_instance: str,
    context: Raw,
    hooks: Mapping[str, Hook],
    *,
    wants_timings: bool,
    extension_version: int = VERSION,
) -> CDSRequest:
    """Return the request of a call answered before, without its prefetch; BadRequest if it would not be taken."""
    hook = hooks.get(name)
    if hook is None:
        raise _other_hook(name, hooks)
    return CDSRequest(
        hook.name,
        hook_instance,
        read_context(hook, context),
        {},
        [],
        wants_timings,
        extension_version=extension_version,
    )


def read_context(hook: Hook, members: Raw) -> Context:
    """Return the typed context; BadRequest names the field that is missing, blank or of the wrong JSON type."""
    try:
        if hook.modernise is not None:
            members = Raw(msgspec.json.encode(hook.modernise(_members.decode(members))))
        context = hook.decoder.decode(members)
    except msgspec.ValidationError as error:
        text = f"For {hook.name}, {describe_decoder_error(error, 'context')}. Nothing was computed."
        raise BadRequest(text, error_path(error, "context")) from error
    for attribute, name in hook.texts:
        value = getattr(context, attribute)
        if value is not None and not value.strip():
            raise BadRequest(
                f"`context.{name}` is required for {hook.name}; received blank text. Nothing was computed.",
                f"context.{name}",
            )
    for attribute, name, required in hook.objects:
        value = memoryview(getattr(context, attribute))
        if value[0] != _BRACE and (required or bytes(value) != _NULL):
            came = f"received {json_kind(value)}" if name in _members.decode(members) else "it is missing"
            raise BadRequest(
                f"`context.{name}` must be a JSON object for {hook.name}; {came}. Nothing was computed.",
                f"context.{name}",
            )
    if len(context.patient_id) > LONGEST_ID:
        raise BadRequest(
            f"`context.patientId` must have at most {LONGEST_ID} characters; received {len(context.patient_id)}. "
            "Nothing was computed.",
            "context.patientId",
        )
    return _with_bare_ids(context)


def _with_bare_ids(context: Context) -> Context:
    """`Patient/1` and `Encounter/1` as the bare ids they should be: clients mix the two forms up (TRAP-35)."""
    changed: dict[str, Any] = {}
    for attribute, name, kind in (("patient_id", "patientId", "Patient"), ("encounter_id", "encounterId", "Encounter")):
        value: str | None = getattr(context, attribute)
        if value is None or "/" not in value:
            continue
        *_, owner, identity = value.split("/_history/", 1)[0].split("/")
        if owner != kind or not identity:
            raise BadRequest(
                f"`context.{name}` must be the id of a {kind}; received another reference. Nothing was computed.",
                f"context.{name}",
            )
        changed[attribute] = identity
    return structs.replace(context, **changed) if changed else context


def _check_entries(prefetch: dict[str, Any], limits: EntryLimits) -> None:
    if len(prefetch) > _MOST_KEYS:
        raise PayloadTooLarge(
            f"`prefetch` holds {len(prefetch)} keys; at most {_MOST_KEYS} are read. Nothing was computed.",
            "prefetch",
        )
    entries = {key: len(value.entry) for key, value in prefetch.items() if isinstance(value, Bundle)}
    what_to_do = "Nothing was computed. Send what GET /cds-services asks for."
    for key, count in entries.items():
        if count > limits.of_a_key:
            where = f"prefetch.{key}" if len(key) <= _LONGEST_NAMED_KEY and key.isidentifier() else "prefetch"
            text = f"`{where}` holds {count} entries; at most {limits.of_a_key} of one key are read."
            raise PayloadTooLarge(f"{text} {what_to_do}", where)
    if sum(entries.values()) > limits.of_all:
        text = f"`prefetch` holds {sum(entries.values())} entries; at most {limits.of_all} are read."
        raise PayloadTooLarge(f"{text} {what_to_do}", "prefetch")


def _other_hook(name: str, hooks: Mapping[str, Hook]) -> BadRequest:
    answered = f"This service answers {' and '.join(hooks)}"
    if name in REPLACED:
        return BadRequest(f"{name} was replaced in the CDS Hooks library: use {REPLACED[name]}. {answered}.", "hook")
    # another text may hold anything, also something of a patient
    is_misspelt = len(name) < _LONGEST_NAMED_KEY and get_close_matches(name, (*LIBRARY, *hooks), 1, _MISSPELT)
    received = repr(name) if is_misspelt else "another name"
    received = name if name in LIBRARY else f"{received}, which CDS Hooks does not define"
    wanted = " or ".join(hooks)
    return BadRequest(f"`hook` must be {wanted} for this service; received {received}. Nothing was computed.", "hook")


def _with_user_in_context(body: bytes) -> bytes | None:
    """Return the body of a client that sends today's context and the user beside `hook`, the user put where it belongs.

    None where the body is another one. Published requests are like that (HL7/PDDI-CDS, cqframework/opioid-cds).
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, Raw])
        context = msgspec.json.decode(members["context"], type=dict[str, Raw])
        user = msgspec.json.decode(members.get("userId") or members["user"], type=str)
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if "patientId" not in context or "userId" in context or "/" not in user:
        return None
    inside = {**context, "userId": Raw(msgspec.json.encode(user))}
    return msgspec.json.encode({**members, "context": Raw(msgspec.json.encode(inside))})


def _advice(body: bytes) -> str | None:
    """Return what to do about members of the time before CDS Hooks 1.0, which may be why something is missing."""
    try:
        members = msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    moved = [f"{old} is context.{new}" for old, new in _BEFORE_1_0.items() if old in members]
    return f"Since CDS Hooks 1.0 {' and '.join(moved)}." if moved else None


def _decode(body: bytes, recall: Recall | None, limits: EntryLimits) -> tuple[HookRequest, ReadPrefetch]:
    check_text(body)
    check_density(body)
    if (parts := split_off_prefetch(body)) is not None:
        with suppress(msgspec.DecodeError, RecursionError):  # the whole body shows where it is wrong
            return _decode_parts(*parts, recall, limits)
    place = ""
    try:
        prefetch, place = bytes(_wire.decode(body).prefetch), "prefetch"
        return _decode_parts(without_prefetch(body, prefetch), prefetch, recall, limits)
    except msgspec.ValidationError as error:
        with suppress(msgspec.DecodeError, RecursionError):
            check_head(body)  # a member that stands twice may be why another is missing
        raise BadRequest(
            f"The body is not a CDS Hooks request: {describe_decoder_error(error, place)}. Nothing was computed.",
            error_path(error, place),
        ) from error
    except RecursionError as error:
        raise TooDeep("The body is nested deeper than any FHIR resource; nothing was read.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{not_json(body, error)} Nothing was computed.") from error


def _decode_parts(
    head: bytes, prefetch: bytes, recall: Recall | None, limits: EntryLimits
) -> tuple[HookRequest, ReadPrefetch]:
    """Read a body without its prefetch (`head`), and the prefetch, unless the client sent the same before."""
    wire = _wire.decode(head)
    patient_id = _patient_of(wire.context)
    sent_before = recall(patient_id) if recall is not None and patient_id else None
    kept = sent_before.get(prefetch) if sent_before is not None else None
    read = kept if kept is not None else _read_prefetch(prefetch)
    check_head(head)
    if kept is None:
        check_depth(prefetch, "prefetch")
        _check_entries(read.values, limits)
        if sent_before is not None:
            sent_before.keep(prefetch, read)
    return wire, read


def _patient_of(context: Raw) -> str:
    try:
        return _whose.decode(context).patientId
    except msgspec.ValidationError:  # `read_context` says what is wrong
        return ""


def _read_prefetch(prefetch: bytes) -> ReadPrefetch:
    try:
        return ReadPrefetch(_quick_prefetch.decode(with_single_blanks(prefetch)) or {}, ())
    except msgspec.ValidationError:
        return _read_carefully(_prefetch.decode(prefetch) or {})


def _read_carefully(values: Mapping[str, Raw]) -> ReadPrefetch:
    """Return the values by key, repaired where they can be, and what of them could not be read."""
    read = {key: _read_value(key, raw) for key, raw in values.items()}
    refusals = [refusal for _, refused in read.values() for refusal in refused]
    return ReadPrefetch({key: value for key, (value, _) in read.items()}, refusals)


def _read_value(key: str, raw: Raw) -> tuple[Any, list[Refusal]]:
    try:
        return _quick_value.decode(raw), []
    except msgspec.ValidationError:
        return read_repaired(key, raw)
