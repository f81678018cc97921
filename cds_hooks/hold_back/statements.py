"""What a person signs: a rule's version, a model with its gate report, or a waiver with its end.

A statement is JSON with sorted keys and without white space; the Ed25519 signature is over exactly these bytes. In the
record it is an event of the kind `approval` whose detail is `{"statement": {…}, "key": id, "signature": base64}`.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal

import msgspec
import orjson
from msgspec import Struct

from models_onnx.artifact.keys import PublicKey, Signer
from models_onnx.artifact.release_file import Release

Kind = Literal["rule", "model", "waiver"]
Subject = Mapping[str, Any]
"""What is approved: members that name it and digests that change with every byte of it."""

FORMAT: Final = "cds-hooks-onnx/approval/1"
GATE_REPORT: Final = "gates.json"


class ApprovalRefused(Exception):
    """An approval that cannot be made or does not count; one sentence."""


class Statement(Struct, frozen=True, kw_only=True):
    """One approval: of what, by whom in which role, when, and what was checked."""

    format: str = FORMAT
    kind: Kind
    subject: dict[str, Any]
    by: str
    role: str
    at: str
    """ISO instant."""
    note: str = ""


def rule_subject(rule: str, digest: str) -> Subject:
    """A version of a medication rule; its digest changes with every word and number of it."""
    return {"rule": rule, "digest": digest}


def model_subject(release: Release) -> Subject:
    """A model as it was released: the digest of its files, and that of its gate report."""
    report = release.files.get(GATE_REPORT)
    gates = report.sha256 if report is not None else ""
    return {"model": release.id, "version": release.version, "digest": release.digest, "gates": gates}


def waiver_subject(model: str, version: str, waiver: Mapping[str, Any]) -> Subject:
    """A waiver of a gate with its whole text and its end."""
    return {"model": model, "version": version, **waiver}


def words_of(kind: Kind, subject: Subject) -> str:
    """The subject in words."""
    if kind == "rule":
        return f"rule {subject.get('rule')} in version {subject.get('digest')}"
    of = f"{subject.get('model')} {subject.get('version')}"
    if kind == "waiver":
        return f"waiver of {subject.get('gate')} for model {of} until {subject.get('expires')}"
    return f"model {of}, digest {str(subject.get('digest'))[:16]}"


def key_of_subject(kind: Kind, subject: Subject) -> bytes:
    """Equal for equal subjects only."""
    return orjson.dumps([kind, subject], option=orjson.OPT_SORT_KEYS)


def ended(waiver: Subject, today: date) -> bool:
    """Whether a waiver is no longer, or not yet, in force."""
    try:
        return not date.fromisoformat(waiver["granted"]) <= today < date.fromisoformat(waiver["expires"])
    except (KeyError, TypeError, ValueError):
        return True


def sign_statement(statement: Statement, signer: Signer) -> dict[str, Any]:
    """The detail of the event that records this approval."""
    body = msgspec.to_builtins(statement)
    signature = base64.b64encode(signer.sign(_signed(body))).decode()
    return {"statement": body, "key": signer.public.id, "signature": signature}


class _Detail(Struct, frozen=True):
    statement: dict[str, Any]
    key: str
    signature: str


def read_detail(detail: str) -> tuple[str, dict[str, Any], bytes]:
    """Key id, statement and signature of an event's detail; ApprovalRefused where it is not an approval."""
    try:
        read = msgspec.json.decode(detail, type=_Detail)
        return read.key, read.statement, base64.b64decode(read.signature, validate=True)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise ApprovalRefused("it is not an approval") from error


def verified_statement(statement: dict[str, Any], signature: bytes, key: PublicKey) -> Statement:
    """The statement that this key signed; ApprovalRefused where it signed another."""
    if not key.verifies(signature, _signed(statement)):
        raise ApprovalRefused("the signature does not belong to this statement")
    try:
        read = msgspec.convert(statement, Statement)
    except msgspec.ValidationError as error:
        raise ApprovalRefused("the statement is not one that this version knows") from error
    if read.format != FORMAT:
        raise ApprovalRefused(f"the statement has the format {read.format!r}; this version reads {FORMAT}")
    return read


def _signed(statement: dict[str, Any]) -> bytes:
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
