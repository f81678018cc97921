"""Documents on disk: what they are is seen from their members, and nothing in them makes the kit fail."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_hooks.kit.contract.document import (
    DEFINED,
    Node,
    NotTested,
    Subject,
    observe,
    parse_json,
)
from cds_hooks.kit.contract.registry import all_checks
from cds_hooks.kit.contract.report import Outcome
from cds_hooks.kit.contract.run import UnreadableDocument, check_document, check_file, kind_of, select_checks
from tests.conftest import examples

MORE = {"topic", "code", "resourceType", "reference", "contained", "quantity", "value"}
NAMES = sorted({name for members in DEFINED.values() for name in members} | MORE)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
WORDS = st.sampled_from(
    ["create", "delete", "update", "absolute", "smart", "{{context.patientId}}", "Patient?x", "%a|"]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=25,
)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"17", b'{"resourceType": "Patient"}'])
def test_a_file_that_is_neither_is_refused_with_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableDocument, match=r"JSON|neither|object"):
        check_file(path, select_checks([], "standard"))


def test_a_file_that_is_not_there_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="cannot be read"):
        check_file(tmp_path / "nothing.json", select_checks([], "standard"))


@pytest.mark.parametrize("subject", [Subject.DISCOVERY, Subject.RESPONSE, Subject.CARD, Subject.ENTRY])
@settings(max_examples=examples(150), deadline=None)
@given(value=VALUES)
def test_no_document_makes_a_check_fail(subject: Subject, value: Any) -> None:
    _judge(subject, value)


def _judge(subject: Subject, value: Any) -> None:
    outcomes = [Outcome(check) for check in all_checks()]
    check_document(subject, Node(value), outcomes)
    assert not [each for each in outcomes if "could not read" in " ".join(each.reasons)]


# Documents under test: read strictly, their parts, and where everything stands.


@pytest.mark.parametrize(
    ("body", "value", "problem", "repeated"),
    [
        (b'{"a": 1}', {"a": 1}, "", ()),
        (b'{"b": 1, "a": 2, "b": 3, "a": 4, "c": 5}', {"b": 3, "a": 4, "c": 5}, "", ("a", "b")),
        (b"NaN", None, "NaN is not a JSON number", ()),
        (b"null", None, "", ()),
    ],
)
def test_a_body_is_read_strictly(body: bytes, value: Any, problem: str, repeated: tuple[str, ...]) -> None:
    document = parse_json(body)
    assert (document.value, document.problem, document.repeated) == (value, problem, repeated)


def test_what_is_not_seen_is_not_tested() -> None:
    observe([1], "nothing was seen")
    with pytest.raises(NotTested, match="nothing was seen"):
        observe([], "nothing was seen")


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ([{"code": "x"}, {"code": "y"}], Subject.OVERRIDE_REASON),
        ({"icon": "x"}, Subject.SOURCE),
        ({"resource": {}}, Subject.SUGGESTED_ACTION),
        ({"hook": "x", "summary": "y"}, Subject.ENTRY),
        ([], None),
        ([{"code": "x"}, 1], None),
        ([{"code": "x"}, {}], None),
        (5, None),
        ({"odd": 1}, None),
    ],
)
def test_what_a_document_is(document: Any, kind: Subject | None) -> None:
    if kind is not None:
        assert kind_of(document) is kind
        return
    with pytest.raises(UnreadableDocument, match=r"the document is not a JSON object|neither a discovery document"):
        kind_of(document)
