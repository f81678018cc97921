"""The charts in a folder of FHIR: bundles one by one, Bulk Data NDJSON by type grouped by patient.

What no model or equation asks for is left out on the way, which is most of a chart.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from cds_hooks.panel.chart_lines import ChartLines, GroupingTally, Wanted, head_of, opened, patient_of
from cds_hooks.panel.dealing import charts_of_ndjson
from models_onnx.errors import PanelRefused

_SUFFIXES = (".json", ".json.gz", ".ndjson", ".ndjson.gz")


class _Entry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = Raw(b"null")


class _Bundle(Struct, frozen=True):
    resourceType: str | None = None
    entry: tuple[_Entry, ...] = ()


_bundle = msgspec.json.Decoder(_Bundle)


def charts_of(
    folder: Path, wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None] = lambda _: None
) -> Iterator[ChartLines]:
    """Every patient's chart, each once, in an order that the folder alone decides.

    Bundles are a chart each; a patient of whom bundles and NDJSON tell comes once for each bundle and once for the
    NDJSON. `progress` is told how many resources have been dealt out.

    Raises:
        PanelRefused: the folder is not there or holds no FHIR.
    """
    files = files_of(folder)
    by_type = [path for path in files if ".ndjson" in path.name]
    for path in files:
        if ".ndjson" not in path.name:
            yield from _of_bundle(path, wanted, tally)
    if by_type:
        yield from charts_of_ndjson(by_type, wanted, tally, progress)


def files_of(folder: Path) -> list[Path]:
    """The bundles and the NDJSON of a folder, sorted by name.

    Raises:
        PanelRefused: the folder is not there or holds no FHIR.
    """
    if not folder.is_dir():
        raise PanelRefused(f"{folder} is not a folder.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(_SUFFIXES))
    if not files:
        raise PanelRefused(f"{folder} holds no bundle (.json) and no NDJSON (.ndjson), packed with gzip or not.")
    return files


def _of_bundle(path: Path, wanted: Wanted, tally: GroupingTally) -> Iterator[ChartLines]:
    try:
        with opened(path) as file:
            bundle = _bundle.decode(file.read())
    except (msgspec.DecodeError, OSError, EOFError):
        tally.unreadable += 1
        return
    charts: dict[str, ChartLines] = {}
    shared: list[bytes] = []
    heads = []
    names: dict[str, str] = {}
    for entry in bundle.entry:
        head = head_of(bytes(entry.resource))
        if head is None or head.resourceType is None:
            tally.unreadable += 1
            continue
        heads.append((head, bytes(entry.resource)))
        if entry.fullUrl and head.id:
            names[entry.fullUrl] = f"{head.resourceType}/{head.id}"
        if head.resourceType == "Patient" and head.id:
            charts[head.id] = ChartLines(head.id)
    for head, line in heads:
        tally.resources += 1
        if not wanted.takes_head(head):
            continue
        if head.resourceType == "Medication":
            shared.append(line)
            continue
        chart = charts.get(patient_of(head, names) or "")
        if chart is None:
            tally.without_patient += 1
            continue
        tally.used += 1
        chart.lines.append(_renamed(line, names))
    for chart in charts.values():
        chart.shared = tuple(shared)
        yield chart


def _renamed(line: bytes, names: dict[str, str]) -> bytes:
    """The resource with references by fullUrl as Type/id, as a server gives them."""
    if b'"urn:' not in line:
        return line
    return re.sub(
        rb'"(urn:[^"]+)"', lambda found: f'"{names.get(found[1].decode(), found[1].decode())}"'.encode(), line
    )
