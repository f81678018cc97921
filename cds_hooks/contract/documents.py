"""Judges documents on disk: discovery, a response, or a part of one; what a file holds is seen from its members."""

from pathlib import Path
from typing import Any

from cds_hooks.contract.node import Node
from cds_hooks.contract.registry import Check
from cds_hooks.contract.report import Outcome, Report
from cds_hooks.contract.run import judge
from cds_hooks.contract.strict_json import read_json
from cds_hooks.contract.subjects import Subject


class UnreadableDocument(ValueError):
    """The file holds no document that can be judged; the message says why."""


def check_file(path: Path, checks: list[Check], kind: Subject | None = None) -> Report:
    """What these checks find in a file; `kind` where its members do not tell what it is.

    Raises UnreadableDocument.
    """
    try:
        document = read_json(path.read_bytes())
    except OSError as error:
        raise UnreadableDocument(f"{path} cannot be read: {error.strerror}") from error
    if document.problem:
        raise UnreadableDocument(f"{path.name} is no JSON: {document.problem}")
    outcomes = [Outcome(check) for check in checks if isinstance(check.of, Subject)]
    for subject, node in _parts(kind or kind_of(document.value), document.value):
        judge(subject, node, outcomes)
    return Report(str(path), outcomes)


def kind_of(value: Any) -> Subject:
    """What a document is: by its members. An object without any is taken for a response.

    Raises UnreadableDocument.
    """
    if isinstance(value, list) and value and all(isinstance(each, dict) and "code" in each for each in value):
        return Subject.OVERRIDE_REASON
    members = set(value) if isinstance(value, dict) else None
    if members is None:
        raise UnreadableDocument("the document is no JSON object")
    for subject, telling in _TELLING:
        if members & telling:
            return subject
    if not members:
        return Subject.RESPONSE
    raise UnreadableDocument("this is neither a discovery document nor a response, nor a part of one")


_TELLING = (
    (Subject.DISCOVERY, {"services"}),
    (Subject.RESPONSE, {"cards", "systemActions"}),
    (Subject.ENTRY, {"hook", "prefetch"}),
    (Subject.CARD, {"summary", "indicator"}),
    (Subject.SUGGESTED_ACTION, {"resource", "resourceId"}),
    (Subject.SOURCE, {"icon", "topic"}),
)


def _parts(subject: Subject, value: Any) -> list[tuple[Subject, Node]]:
    if isinstance(value, list):
        return [(subject, Node(each, f"[{position}]")) for position, each in enumerate(value)]
    if subject is Subject.ENTRY and set(value) == {"prefetch"}:  # templates alone, without their service
        return [(Subject.PREFETCH, Node(value).at("prefetch"))]
    return [(subject, Node(value))]
