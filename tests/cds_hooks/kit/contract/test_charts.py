"""Patients to send: the samples and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.contract.charts import read_patient_chart, sample_charts, with_new_identities
from cds_hooks.kit.contract.definitions import HOOKS, fields_of
from cds_hooks.kit.contract.requests import contexts_for
from cds_hooks.kit.contract.run import check_file, select_checks
from cds_hooks.kit.simulator.chart import ChartError
from tests.cds_hooks.kit.contract.conftest import AS_OF

TYPES = {"string": str, "array": list, "object": dict}


def _file(folder: Path, document: Any) -> Path:
    path = folder / "chart.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("hook", HOOKS)
def test_every_sample_gets_a_context_with_all_required_fields_of_their_type(hook: str) -> None:
    for chart in sample_charts(AS_OF):
        for _, context in contexts_for(hook, chart):
            for field in fields_of(hook):
                if field.required or field.name in context:
                    assert isinstance(context[field.name], TYPES[field.type]), (chart.name, field.name)


def test_each_run_is_about_patients_that_a_server_has_not_seen() -> None:
    charts = sample_charts(AS_OF)
    one, other = with_new_identities(charts), with_new_identities(charts)
    for chart, first, second in zip(charts, one, other, strict=True):
        assert len({chart.patient_id, first.patient_id, second.patient_id}) == 3
        assert len(first.patient_id) <= 64
        sent = json.dumps([first.resources, [(draft.order, draft.beside) for draft in first.drafts]])
        assert f'"Patient/{chart.patient_id}"' not in sent
        assert sent.count(f'"Patient/{first.patient_id}"') == json.dumps(
            [chart.resources, [(draft.order, draft.beside) for draft in chart.drafts]]
        ).count(f'"Patient/{chart.patient_id}"')


@pytest.mark.parametrize("document", [[], "text", {"resourceType": "Bundle"}, {"resourceType": "Condition", "id": "1"}])
def test_a_file_without_one_patient_is_refused_with_a_sentence(document: Any, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match=r"object|0 patients"):
        read_patient_chart(_file(tmp_path, document))


def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="cannot be read"):
        read_patient_chart(tmp_path / "nothing.json")


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
