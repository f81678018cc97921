"""A run over a folder goes on only with what it was begun with, and says whom it could not score."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.panel import run as running
from cds_hooks.panel.chart_lines import GroupingTally
from cds_hooks.panel.run import FhirJob, FhirResult, score_folder
from cds_hooks.settings import Settings
from models_onnx.errors import PanelRefused
from tests.cds_hooks.kit.samples.reading import AS_OF
from tests.cds_hooks.panel.test_chart_lines import line_of

HEADER = "id,name,output,by,value,unit,percentile,band,reason,reason_text"


def patient(name: str, **more: Any) -> dict[str, Any]:
    """A patient of whom nothing else is known."""
    return {"resourceType": "Patient", "id": name, "gender": "female", "birthDate": "1950-05-01"} | more


def job(tmp_path: Path, *patients: dict[str, Any], **more: Any) -> FhirJob:
    """A run of one equation over these patients."""
    folder = tmp_path / "charts"
    folder.mkdir(exist_ok=True)
    (folder / "all.ndjson").write_bytes(b"".join(map(line_of, patients)))
    return FhirJob(folder, AS_OF, tmp_path / "scores.csv", Settings(), ("gad7",), **more)


FIVE = [patient(str(number)) for number in range(5)]


def interrupt(rows: int) -> Any:
    """Ends the run after so many patients, as an interrupt does."""

    def progress(done: int) -> None:
        if done >= rows:
            raise KeyboardInterrupt

    return progress


def test_a_run_says_how_many_patients_and_reasons_there_are(tmp_path: Path) -> None:
    told: list[int] = []
    result = score_folder(job(tmp_path, *FIVE), told.append)
    assert result == FhirResult(5, 0, {"no score, input-missing": 5}, GroupingTally(resources=5, used=5))
    header, *lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert header == HEADER
    assert sorted(line.partition(",")[0] for line in lines) == ["0", "1", "2", "3", "4"]
    assert told == [5]


def test_a_run_goes_on_with_the_next_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score_folder(job(tmp_path, *FIVE))
    expected = (tmp_path / "scores.csv").read_text()
    monkeypatch.setattr(running, "PATIENTS_AT_ONCE", 2)
    begun = job(tmp_path, *FIVE)
    with pytest.raises(KeyboardInterrupt):
        score_folder(begun, interrupt(2))
    told: list[int] = []
    again = score_folder(begun, told.append)
    assert (again.patients, again.resumed_at, told) == (5, 2, [4, 5])
    assert again.counted == {"no score, input-missing": 5}
    assert (tmp_path / "scores.csv").read_text() == expected


def test_a_run_that_was_begun_otherwise_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENTS_AT_ONCE", 1)
    begun = job(tmp_path, *FIVE)
    with pytest.raises(KeyboardInterrupt):
        score_folder(begun, interrupt(1))
    others = [
        replace(begun, as_of=AS_OF + timedelta(microseconds=1)), replace(begun, content="features"),
        replace(begun, names=("phq9",)), replace(begun, as_it_stood=lambda lines, _: lines),
        replace(begun, settings=Settings(kfre_region="non_north_america")),
    ]  # fmt: skip
    for other in others:
        with pytest.raises(PanelRefused, match="was begun with other rows, another model or another declaration"):
            score_folder(other)
    assert score_folder(begun).resumed_at == 1
    with pytest.raises(KeyboardInterrupt):
        score_folder(begun, interrupt(1))
    (begun.folder / "more.txt").write_text("a file more")
    with pytest.raises(PanelRefused, match="was begun with other rows"):
        score_folder(begun)
    assert score_folder(replace(begun, restart=True)).resumed_at == 0


def test_a_folder_in_which_nobody_can_be_scored_is_said_with_its_numbers(tmp_path: Path) -> None:
    two = job(tmp_path, patient("1"), patient("1", gender="male"), {"resourceType": "Patient"})
    (two.folder / "broken.ndjson").write_bytes(b"{\n[]\n")
    with pytest.raises(PanelRefused) as refused:
        score_folder(two)
    assert str(refused.value) == (
        f"{two.folder} holds no patient who can be scored: only who has a Patient resource in it is. There are 5 "
        "resources, 2 lines or files that are no FHIR (the first in broken.ndjson), and 1 patients whose Patient "
        "resources differ in birth date or sex."
    )
    (two.folder / "broken.ndjson").unlink()
    (two.folder / "all.ndjson").write_bytes(b"")
    with pytest.raises(PanelRefused) as refused:
        score_folder(two)
    assert str(refused.value).endswith(
        "There are 0 resources, 0 lines or files that are no FHIR, and 0 patients whose Patient resources differ in "
        "birth date or sex."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["charts"]


def test_several_processes_are_asked_for_twice_as_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work itself is done here: what is asked of the processes is what one process does."""
    asked: list[Any] = []

    class Pool:
        """A pool of this process."""

        def __init__(self, workers: int, context: Any, begin: Any, arguments: Any) -> None:
            asked.append((workers, context.get_start_method(), begin.__name__))
            self.worker = running._Worker(*arguments)

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

    def in_order(pool: Pool, function: Any, batches: Iterator[Any], most: int) -> Iterator[Any]:
        asked.append((function.__name__, most))
        return map(pool.worker, batches)

    score_folder(job(tmp_path, *FIVE))
    expected = (tmp_path / "scores.csv").read_bytes()
    monkeypatch.setattr(running, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(running, "results_in_order", in_order)
    monkeypatch.setattr(running, "PATIENTS_AT_ONCE", 2)
    told: list[int] = []
    score_folder(job(tmp_path, *FIVE, workers=3), told.append)
    assert (tmp_path / "scores.csv").read_bytes() == expected
    assert told == [2, 4, 5]
    assert asked == [(3, "spawn", "_begin"), ("_score", 6)]
