"""However the files of a folder are written and divided, a patient has one chart with everything in it, or is named."""

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.batch.run import FhirJob, FhirResult, score_folder
from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.kit.simulator.chart import resources_of
from cds_hooks.settings import Settings
from fhir.record.charts import MOST_UNPACKED_BYTES, ChartsRefused, read_charts
from models_onnx.errors import BatchRefused
from tests.cds_hooks.kit.samples.reading import AS_OF

pytestmark = pytest.mark.slow  # They score whole panels.

BOM = b"\xef\xbb\xbf"
Resources = list[dict[str, Any]]


@pytest.fixture(scope="module")
def charts() -> list[Resources]:
    """Six samples."""
    return [resources_of(load_patient(each.id, AS_OF)) for each in list_samples()[:6]]


def bundle_of(resources: Iterable[dict[str, Any]], kind: str = "searchset") -> bytes:
    """These resources as a server gives them, some with an answer of its own beside them."""
    entries = [
        {"fullUrl": f"https://ehr.example/{each['resourceType']}/{each['id']}", "resource": each} for each in resources
    ]
    return json.dumps(
        {"resourceType": "Bundle", "type": kind, "entry": [{"response": {"status": "200"}}, *entries]}
    ).encode()


def lines_of(charts: list[Resources], kind: str = "") -> bytes:
    """The resources of this type, or all, one on each line."""
    return b"".join(
        json.dumps(each, separators=(",", ":")).encode() + b"\n"
        for chart in charts
        for each in chart
        if kind in ("", each["resourceType"])
    )


def by_type(
    charts: list[Resources], folder: Path, end: str = "ndjson", change: Callable[[bytes], bytes] = bytes
) -> None:
    """An export by type, with each file changed."""
    for kind in {each["resourceType"] for chart in charts for each in chart}:
        (folder / f"{kind}.{end}").write_bytes(change(lines_of(charts, kind)))


def results(chart: Resources) -> Resources:
    """The Observations of a chart."""
    return [each for each in chart if each["resourceType"] == "Observation"]


def others(chart: Resources) -> Resources:
    """The rest."""
    return [each for each in chart if each["resourceType"] != "Observation"]


def patient(chart: Resources) -> Resources:
    """The Patient alone."""
    return [each for each in chart if each["resourceType"] == "Patient"]


def pages(charts: list[Resources], folder: Path) -> None:
    """Each chart in three answers of a server: only the first of them has the Patient."""
    for number, chart in enumerate(charts):
        half = len(results(chart)) // 2
        (folder / f"{number}a.json").write_bytes(bundle_of(others(chart)))
        (folder / f"{number}b.json").write_bytes(bundle_of(results(chart)[:half]))
        (folder / f"{number}c.json.gz").write_bytes(gzip.compress(bundle_of(results(chart)[half:])))


def halves(charts: list[Resources], folder: Path) -> None:
    """Half of each chart in a bundle, half in NDJSON, the Patient in both."""
    for number, chart in enumerate(charts):
        (folder / f"{number}.json").write_bytes(bundle_of(others(chart)))
    (folder / "results.ndjson").write_bytes(lines_of([[*patient(chart), *results(chart)] for chart in charts]))


def one_by_one(charts: list[Resources], folder: Path) -> None:
    """Each resource in a file, on several lines."""
    for chart in charts:
        for each in chart:
            (folder / f"{each['resourceType']}-{each['id']}.json").write_text(json.dumps(each, indent=1))


def marked(charts: list[Resources], folder: Path) -> None:
    """Bundles as some programs of Windows write them."""
    for number, chart in enumerate(charts):
        (folder / f"{number}.JSON").write_bytes(BOM + bundle_of(chart))


WRITTEN: dict[str, Callable[[list[Resources], Path], None]] = {
    "pages of searches": pages,
    "bundle and ndjson": halves,
    "one resource a file": one_by_one,
    "bundles with a mark": marked,
    "a mark": lambda charts, folder: by_type(charts, folder, change=lambda text: BOM + text),
    "a mark, packed": lambda charts, folder: by_type(
        charts, folder, "ndjson.gz", lambda text: gzip.compress(BOM + text)
    ),
    "packed, not named so": lambda charts, folder: by_type(charts, folder, change=gzip.compress),
    "named as packed": lambda charts, folder: by_type(charts, folder, "ndjson.gz"),
    "jsonl": lambda charts, folder: by_type(charts, folder, "jsonl"),
}


def scored(folder: Path, **other: Any) -> tuple[FhirResult, list[str]]:
    """The result, and its lines in the order of the patients."""
    out = folder.with_name(f"{folder.name}.csv")
    result = score_folder(FhirJob(folder, AS_OF, out, Settings(), **other))
    return result, sorted(out.read_text().splitlines())


@pytest.mark.parametrize("way", WRITTEN)
def test_a_patient_has_one_chart_with_all_that_the_files_tell(
    charts: list[Resources], tmp_path: Path, way: str
) -> None:
    for name in ("plain", "other"):
        (tmp_path / name).mkdir()
    by_type(charts, tmp_path / "plain")
    WRITTEN[way](charts, tmp_path / "other")
    (_, plain), (result, other) = scored(tmp_path / "plain"), scored(tmp_path / "other")
    assert other == plain
    assert (result.patients, result.resources.without_patient, result.resources.unreadable) == (len(charts), 0, 0)


@pytest.mark.parametrize("change", [{"birthDate": "1931-01-02"}, {"gender": "other"}])
def test_one_id_with_two_birth_dates_or_sexes_is_not_scored_as_one_person(
    charts: list[Resources], tmp_path: Path, change: dict[str, str]
) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    (again,) = patient(charts[0])
    (folder / "a.ndjson").write_bytes(lines_of(charts))
    (folder / "b.ndjson").write_bytes(lines_of([[{**again, "birthDate": again["birthDate"][:4]}]]))
    assert scored(folder)[0].patients == len(charts), "a less exact date is no other one"
    (folder / "b.ndjson").write_bytes(lines_of([[again | change]]))
    result, lines = scored(folder)
    assert (result.patients, result.resources.two_persons) == (len(charts) - 1, 1)
    assert not [line for line in lines if line.startswith(f"{again['id']},")]


def test_a_bundle_that_cannot_be_unpacked_scores_nobody(charts: list[Resources], tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    pages(charts, folder)
    packed = folder / "0c.json.gz"
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(BatchRefused, match=r"0c\.json\.gz cannot be unpacked to its end"):
        scored(folder)
    person = b'{"resourceType":"Patient","id":"longest"}'.ljust(MOST_UNPACKED_BYTES)
    packed.write_bytes(gzip.compress(person))
    assert "longest" in {chart.id for chart in read_charts(folder)}
    packed.write_bytes(gzip.compress(person + b" "))
    said = r"0c\.json\.gz is over 67,108,864 bytes when it is unpacked"
    with pytest.raises(BatchRefused, match=said):
        scored(folder)
    with pytest.raises(ChartsRefused, match=said):
        list(read_charts(folder))


def test_a_packed_line_that_is_too_long_or_breaks_off_scores_nobody(charts: list[Resources], tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    pages(charts, folder)
    packed = folder / "bomb.ndjson.gz"
    lines = b"".join(b'{"resourceType":"Condition","id":"%d"}\n' % number for number in range(20_000))
    packed.write_bytes(gzip.compress(b'{"resourceType":"Patient","id":"longest"}'.ljust(MOST_UNPACKED_BYTES)))
    assert "longest" in {chart.id for chart in read_charts(folder)}
    for content in (gzip.compress(b"a" * (MOST_UNPACKED_BYTES + 1), 1), gzip.compress(lines)[:-40_000]):
        packed.write_bytes(content)
        with pytest.raises(BatchRefused, match=r"bomb\.ndjson\.gz cannot be read to its end"):
            scored(folder)
        with pytest.raises(ChartsRefused, match=r"bomb\.ndjson\.gz (has a line of over 67,108,864 bytes|breaks off)"):
            list(read_charts(folder))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b"[]", r"1 lines or files that are no FHIR \(the first in a.json\)"),
        ("a.json", b"{}", "holds no patient who can be scored"),
        ("a.ndjson", b"", "There are 0 resources"),
        ("a.ndjson", b'{"resourceType":"Bundle","entry":[]}\n', "There are 1 resources"),
    ],
)
def test_a_folder_without_a_patient_is_refused_and_leaves_no_output(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    folder = tmp_path / "nobody"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises(BatchRefused, match=said):
        scored(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["nobody"]
