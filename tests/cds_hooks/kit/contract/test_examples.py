"""The official examples: the kit finds in each what the index of the examples names, and says why where it differs."""

import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.contract.run import check_file, select_checks

KINDS = ("discovery-response", "prefetch-templates", "response", "card", "source", "action", "overrideReasons")
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


@pytest.mark.outside_data
def test_the_kit_finds_in_each_example_what_the_index_names(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    assert len(index) == 38
    for entry in index:
        report = check_file(spec_folder / "examples" / entry["file"], select_checks([], "standard"))
        found = {finding.row.id for finding in report.findings}
        named = {row for row, _ in entry["findings"]}
        assert found == named | DIFFERENCES.get(entry["file"], set()), entry["file"]


@pytest.mark.outside_data
def test_the_kit_finds_each_prefetch_key_that_the_index_names(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    checked = 0
    for entry in index:
        report = check_file(spec_folder / "examples" / entry["file"], select_checks(["TOK", "QRY"], "standard"))
        found = {
            (finding.check.row, fault.message.partition(":")[0])
            for finding in report.outcomes
            for fault in finding.faults
        }
        named = {(row, text.partition(":")[0]) for row, text in entry["findings"] if row[:3] in ("TOK", "QRY")}
        assert named <= found, entry["file"]
        checked += len(named)
    assert checked > 20


@pytest.mark.outside_data
def test_examples_without_a_must_are_those_that_conform(spec_folder: Path, index: list[dict[str, Any]]) -> None:
    conformant = [
        entry["file"]
        for entry in index
        if not check_file(spec_folder / "examples" / entry["file"], select_checks([], "standard")).musts
    ]
    assert "response-cards-1.json" in conformant
    assert "response-crd-2.json" in conformant
    assert "response-autolaunchable.json" not in conformant
    assert "response-vtest-suggestion.json" not in conformant
