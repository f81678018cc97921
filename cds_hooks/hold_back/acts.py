"""Acts that change what may show cards: the statement that a person signs, its event and its verification.

The detail of the event is `{"statement": {…}, "key": id, "signature": base64}`; in the development profile key and
signature are empty.
"""

import base64
import binascii
import re
import secrets
from typing import Any, Final, Literal

import msgspec
import orjson
from msgspec import Struct

from cds_hooks.hold_back.people import People
from cds_hooks.hold_back.statements import ApprovalRefused
from models_onnx.artifact.keys import Signer

FORMAT: Final = "cds-hooks-onnx/act/1"
_SALT: Final = re.compile("[0-9a-f]{32}")
ActKind = Literal["service", "client", "unit", "user", "rule", "model", "equation"]
ActState = Literal["off", "on", "shadow", "canary", "active", "retired"]


class Act(Struct, frozen=True, kw_only=True):
    """One act: what it is about, in which version, the new state, by whom, when and why.

    `version` is the digest of the rule's version or of the model's release, `gates` that of its gate report; both are
    empty for services and clients. `salt` (32 hexadecimal digits) chooses the patients of a canary.
    """

    format: str = FORMAT
    kind: ActKind
    name: str
    state: ActState
    by: str
    role: str
    at: str
    """ISO instant."""
    why: str
    version: str = ""
    gates: str = ""
    share: int = 100
    salt: str = msgspec.field(default_factory=lambda: secrets.token_hex(16))


class _Detail(Struct, frozen=True):
    statement: dict[str, Any]
    key: str = ""
    signature: str = ""


def act_detail(act: Act, signer: Signer | None) -> dict[str, Any]:
    """The detail of the event, signed where there is a key."""
    body = msgspec.to_builtins(act)
    signature = base64.b64encode(signer.sign(_signed(body))).decode() if signer is not None else ""
    return {"statement": body, "key": signer.public.id if signer is not None else "", "signature": signature}


def verified_act(detail: str, people: People | None) -> Act:
    """The act of an event's detail; with `people` only where one of them has signed it under the own name.

    Raises:
        ApprovalRefused: It is none, or nobody who may has signed it.
    """
    try:
        read = msgspec.json.decode(detail, type=_Detail)
        act = msgspec.convert(read.statement, Act)
        signature = base64.b64decode(read.signature, validate=True)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise ApprovalRefused("it is no act that this version knows") from error
    if act.format != FORMAT:
        raise ApprovalRefused(f"it has the format {act.format!r}; this version reads {FORMAT}")
    if not _SALT.fullmatch(act.salt) or not 1 <= act.share <= 100:
        raise ApprovalRefused("its share is not 1 to 100, or its salt is not 32 hexadecimal digits")
    if people is None:
        return act
    person = people.of_key(read.key)
    if person is None:
        raise ApprovalRefused(f"its key {read.key or '(none)'} is of nobody in {people.file or 'a file of people'}")
    if not person.key.verifies(signature, _signed(read.statement)):
        raise ApprovalRefused("the signature is not of this statement")
    if not person.is_same_as(act.by) or person.role != act.role:
        raise ApprovalRefused(f"it names {act.by} ({act.role}) and is signed by {person.name} ({person.role})")
    return act


def _signed(statement: dict[str, Any]) -> bytes:
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
