"""Every service that discovery lists is measured, with a card and without."""

from datetime import UTC, datetime

import pytest

from benchmarks.charts import load_patients
from benchmarks.in_process import service_in_process
from benchmarks.subject import discover, find_subjects
from cds_hooks.services import find_services
from cds_hooks.settings import settings


@pytest.mark.slow
def test_each_service_has_a_patient_with_a_card_and_a_silent_one_among_the_samples(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    patients = list(load_patients(datetime.now(UTC)))
    with service_in_process() as service:
        entries = discover(service.call_json)
        found = {
            (entry["id"], subject.outcome)
            for entry in entries
            for subject in find_subjects(entry, service.call_json, patients)
        }
        assert len(entries) >= len(find_services())
        # No sample has a payer, and what a payer asks for is a note on the order rather than a card.
        of_payers = {(entry["id"], "card") for entry in entries if entry["id"].startswith("coverage-requirements")}
        assert found == {(entry["id"], outcome) for entry in entries for outcome in ("card", "silent")} - of_payers
    settings.cache_clear()
