"""Signs acts with a person's key and verifies them: in the record, and in a file that is handed in at /rules.

The detail of an event is `{"statement": {…}, "key": id, "signature": base64}`; in the development profile key and
signature of an act of release are empty. A file of signed acts holds such details:

    {"format": "cds-hooks-onnx/signed/1", "acts": [{"statement": {…}, "key": id, "signature": base64}]}

The statement's own `format` says whether it is an approval (`Statement`) or an act of release (`Act`).
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any, Final, TypeVar

import msgspec
import orjson
from msgspec import Struct

from cds_hooks.hold_back.acts import SALT, Act, ApprovalRefused, Statement
from cds_hooks.hold_back.people import People, Person
from models_onnx.artifact.keys import Signer, new_private_file

FORMAT: Final = "cds-hooks-onnx/signed/1"
MOST_BYTES: Final = 1_000_000
MOST_ACTS: Final = 1_000
"""A reviewed list of every rule has some hundred."""
_PRIVATE_KEY: Final = "PRIVATE KEY"

_Signed = TypeVar("_Signed", Statement, Act)


class SignedAct(Struct, frozen=True, forbid_unknown_fields=True):
    """The detail of an event: what was signed, the id of the key, and the signature in base64."""

    statement: dict[str, Any]
    key: str
    signature: str

    @property
    def format(self) -> str:
        """The format that the statement names; "" where it names none."""
        name = self.statement.get("format")
        return name if isinstance(name, str) else ""

    @property
    def detail(self) -> dict[str, Any]:
        """The detail of the event that records it."""
        return {"statement": self.statement, "key": self.key, "signature": self.signature}

    def signer(self, people: People, at: float | None = None) -> Person:
        """Returns the person whose key signed what was recorded at that time (epoch seconds; None for now).

        Raises:
            ApprovalRefused: The key is nobody's, or the signature is of another statement.
        """
        person = people.of_key(self.key)
        if person is None:
            file = people.file or "a file of people"
            raise ApprovalRefused(f"its key {self.key or '(none)'} belongs to nobody in {file}")
        try:
            signature = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ApprovalRefused("its signature is not base64") from error
        if not person.key.verifies(signature, _signed_bytes(self.statement)):
            raise ApprovalRefused("the signature does not belong to this statement")
        if person.has_left(datetime.fromtimestamp(time() if at is None else at, UTC).date()):
            raise ApprovalRefused(f"{person.name} had left on {person.left_on}, before it was recorded")
        return person

    def approval(self) -> Statement:
        """Returns the approval that the statement is; ApprovalRefused where it is none of this version."""
        return _converted(self.statement, Statement)

    def act(self, people: People | None, at: float | None = None) -> Act:
        """Returns the act of release; with `people` only where one of them has signed it under the own name.

        Raises:
            ApprovalRefused: It is none, or nobody who may has signed it.
        """
        act = _converted(self.statement, Act)
        if not SALT.fullmatch(act.salt) or not 1 <= act.share <= 100:
            raise ApprovalRefused("its share is not 1 to 100, or its salt is not 32 hexadecimal digits")
        if people is not None:
            refuse_other_name(act, self.signer(people, at))
        return act


def sign_act(statement: Statement | Act, signer: Signer | None) -> dict[str, Any]:
    """Returns the detail of the event that records it, signed where there is a key."""
    body = msgspec.to_builtins(statement)
    signature = base64.b64encode(signer.sign(_signed_bytes(body))).decode() if signer is not None else ""
    return SignedAct(body, signer.public.id if signer is not None else "", signature).detail


def refuse_other_name(statement: Statement | Act, person: Person) -> None:
    """Raises ApprovalRefused where the statement names somebody else, or another role, than its signer has."""
    if not person.is_same_as(statement.by) or person.role != statement.role:
        text = f"{statement.by[:80]} ({statement.role[:80]})"
        raise ApprovalRefused(f"it names {text} and is signed by {person.name} ({person.role})")


def write_signed(file: Path, details: Sequence[dict[str, Any]]) -> None:
    """Writes the file of these details of events.

    Raises:
        ApprovalRefused: The file is there already, or cannot be written.
    """
    content = orjson.dumps({"format": FORMAT, "acts": list(details)}, option=orjson.OPT_INDENT_2)
    try:
        with new_private_file(file) as opened:
            opened.write(content + b"\n")
    except FileExistsError as error:
        raise ApprovalRefused(f"{file} is there already; nothing was changed") from error
    except OSError as error:
        raise ApprovalRefused(f"{file} cannot be written: {error.strerror}") from error


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    acts: list[SignedAct]


def read_signed(text: str) -> list[SignedAct]:
    """Returns the acts of a file; nothing is verified yet.

    Raises:
        ApprovalRefused: It is no such file, or larger than one can be; the sentence never repeats its content.
    """
    if _PRIVATE_KEY in text:
        raise ApprovalRefused(
            "this is a private key, which belongs on no server: it was not kept. Make a new key (cds-hooks approve "
            "key), because this one was sent over the network, and hand in the file that --out writes"
        )
    if len(text) > MOST_BYTES:
        raise ApprovalRefused(f"the file is larger than the {MOST_BYTES:,} bytes that are read here")
    try:
        file = msgspec.json.decode(text, type=_File)
        orjson.dumps([act.detail for act in file.acts])  # what cannot be written again was never signed
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise ApprovalRefused(
            "this is no file of signed acts; cds-hooks approve and cds-hooks release write one with --out"
        ) from error
    if file.format != FORMAT:
        raise ApprovalRefused(f"the file is of another format than {FORMAT}, which this version reads")
    if not 0 < len(file.acts) <= MOST_ACTS:
        raise ApprovalRefused(f"the file has {len(file.acts):,} acts; it has 1 to {MOST_ACTS:,}")
    return file.acts


def _converted(statement: dict[str, Any], kind: type[_Signed]) -> _Signed:
    try:
        act = msgspec.convert(statement, kind)
    except msgspec.ValidationError as error:
        raise ApprovalRefused("the statement is not one that this version knows") from error
    if act.format != kind.FORMAT:
        raise ApprovalRefused(f"the statement has the format {act.format!r}; this version reads {kind.FORMAT}")
    return act


def _signed_bytes(statement: dict[str, Any]) -> bytes:
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
