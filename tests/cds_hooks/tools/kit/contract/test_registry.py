"""The tables of the kit say what the checklist says, and every row that can be seen from outside has a check."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cds_hooks.tools.kit.contract.definitions import read_table
from cds_hooks.tools.kit.contract.document import Node, Subject
from cds_hooks.tools.kit.contract.registry import all_checks
from cds_hooks.tools.kit.contract.report import Outcome, Report
from cds_hooks.tools.kit.contract.run import UnreadableDocument, check_document, check_file, select_checks
from tests.conftest import examples


@pytest.fixture
def checklist(spec_folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of the checklist by id."""
    document = json.loads((spec_folder / "cds-hooks-checklist.json").read_text())
    return {row["id"]: row for row in document["rows"]}


MORE = {"topic", "code", "resourceType", "reference", "contained", "quantity", "value"}
NAMES = sorted({row["member"].partition(".")[0] for row in read_table("members.csv")} | MORE)
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


@pytest.mark.parametrize("subject", [Subject.DISCOVERY, Subject.RESPONSE, Subject.CARD, Subject.ENTRY])
@settings(max_examples=examples(150), deadline=None)
@given(value=VALUES)
def test_no_document_makes_a_check_fail(subject: Subject, value: Any) -> None:
    _judge(subject, value)


def _judge(subject: Subject, value: Any) -> None:
    outcomes = [Outcome(check) for check in all_checks()]
    check_document(subject, Node(value), outcomes)
    assert not [each for each in outcomes if "could not read" in " ".join(each.reasons)]


KINDS = {
    "discovery-response": Subject.DISCOVERY, "prefetch-templates": Subject.PREFETCH, "response": Subject.RESPONSE,
    "card": Subject.CARD, "source": Subject.SOURCE, "action": Subject.SUGGESTED_ACTION,
    "overrideReasons": Subject.OVERRIDE_REASON,
}  # fmt: skip
# Where the kit says more than the index: file → rows, with the reason.
DIFFERENCES = {
    "discovery-response-vtest-extension.json": {"EXT-02"}, "discovery-response-crd.json": {"TOK-02"},
    "action-create-1.json": {"GEN-08"},
}  # fmt: skip


@pytest.fixture
def index(spec_folder: Path) -> list[dict[str, Any]]:
    """The entries for documents that a server sends."""
    entries = json.loads((spec_folder / "examples-index.json").read_text())
    return [entry for entry in entries if entry["kind"] in KINDS]


def _report(spec_folder: Path, entry: dict[str, Any]) -> Report:
    """Judge an example: a document, or a part of one."""
    value = json.loads((spec_folder / "examples" / entry["file"]).read_text())
    if entry["kind"] == "prefetch-templates":
        value = value["prefetch"]
    outcomes = [Outcome(check) for check in select_checks([], "standard") if check.subject.is_part]
    for part in value if isinstance(value, list) else [value]:
        check_document(KINDS[entry["kind"]], Node(part), outcomes)
    return Report(entry["file"], outcomes)


@pytest.mark.outside_data
def test_the_kit_finds_in_each_example_what_the_index_names(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    assert len(index) == 38
    for entry in index:
        found = {finding.row.id for finding in _report(spec_folder, entry).findings}
        named = {row for row, _ in entry["findings"]}
        assert found == named | DIFFERENCES.get(entry["file"], set()), entry["file"]


@pytest.mark.outside_data
def test_examples_without_a_must_are_those_that_conform(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    conformant = [entry["file"] for entry in index if not _report(spec_folder, entry).musts]
    assert "response-cards-1.json" in conformant
    assert "response-crd-2.json" in conformant
    assert "response-autolaunchable.json" not in conformant
    assert "response-vtest-suggestion.json" not in conformant
