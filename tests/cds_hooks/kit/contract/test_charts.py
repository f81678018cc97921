"""Patients to send: the samples and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.contract.charts import read_patient_chart, sample_charts, with_new_identities
from cds_hooks.kit.contract.definitions import HOOKS, fields_of
from cds_hooks.kit.contract.requests import contexts_for
from cds_hooks.kit.simulator.chart import ChartError
from tests.cds_hooks.kit.contract.conftest import AS_OF

BUNDLE = {
    "resourceType": "Bundle", "type": "collection",
    "entry": [{"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "id": "p1"}},
              {"resource": {"resourceType": "Condition", "id": "c1", "subject": {"reference": "urn:uuid:1"}}}],
}  # fmt: skip
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


def test_selections_name_entries_of_the_drafts() -> None:
    for chart in sample_charts(AS_OF):
        for _, context in contexts_for("order-select", chart):
            resources = [entry["resource"] for entry in context["draftOrders"]["entry"]]
            names = {f"{each['resourceType']}/{each['id']}" for each in resources}
            assert set(context["selections"]) <= names


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


def test_references_by_full_url_become_references_by_id(tmp_path: Path) -> None:
    chart = read_patient_chart(_file(tmp_path, BUNDLE))
    assert chart.patient_id == "p1"
    assert next(chart.resources_of_type("Condition"))["subject"]["reference"] == "Patient/p1"


@pytest.mark.parametrize("document", [[], "text", {"resourceType": "Bundle"}, {"resourceType": "Condition", "id": "1"}])
def test_a_file_without_one_patient_is_refused_with_a_sentence(document: Any, tmp_path: Path) -> None:
    with pytest.raises(ChartError, match=r"object|0 patients"):
        read_patient_chart(_file(tmp_path, document))


def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="cannot be read"):
        read_patient_chart(tmp_path / "nothing.json")
