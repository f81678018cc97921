"""The charts in a folder of FHIR: bundles, single resources and Bulk Data NDJSON, grouped by patient.

What no model or equation asks for is left out on the way, which is most of a chart.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Raw, Struct

from cds_hooks.panel.chart_lines import (
    BROKEN_OFF,
    ChartLines,
    GroupingTally,
    Wanted,
    broken_off,
    head_of,
    is_packed,
    opened,
)
from cds_hooks.panel.partitioning import Partitioner, Partitions, grouped
from models_onnx.errors import PanelRefused

_LINES = (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz")
_DOCUMENTS = (".json", ".json.gz")
_PACKED = 8  # how many times longer a file is than when it is packed with gzip, about
_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")


class _Entry(Struct, frozen=True):
    fullUrl: str | None = None
    resource: Raw = Raw(b"null")


class _Document(Struct, frozen=True):
    resourceType: str | None = None
    entry: tuple[_Entry, ...] = ()


_document = msgspec.json.Decoder(_Document)


def charts_of(
    folder: Path, wanted: Wanted, tally: GroupingTally, progress: Callable[[int], None] = lambda _: None
) -> Iterator[ChartLines]:
    """Yields every patient's chart, each once with all that the files tell, in an order that the folder alone decides.

    `progress` is told how many resources have been read.

    Raises:
        PanelRefused: the folder is not there or holds no FHIR, or a packed file breaks off.
    """
    files = files_of(folder)
    size = sum(path.stat().st_size * (_PACKED if is_packed(path) else 1) for path in files)
    with tempfile.TemporaryDirectory(prefix="cds-hooks-panel-") as work, Partitions(Path(work), size) as partitions:
        partitioner = Partitioner(partitions, wanted, tally)
        for path in files:
            before = tally.unreadable
            try:
                with opened(path) as file:
                    if is_lines(path):
                        partitioner.add_file(file)
                    else:
                        _add_document(file.read(), partitioner, tally)
            except BROKEN_OFF as error:
                raise PanelRefused(broken_off(path)) from error
            tally.note_file(path, before)
            progress(tally.resources)
        for part in partitions.parts():
            yield from grouped(part, partitioner.shared, tally)


def is_lines(path: Path) -> bool:
    """Returns whether the file holds one resource on each line, by its name."""
    return path.name.lower().endswith(_LINES)


def files_of(folder: Path) -> list[Path]:
    """Returns the bundles, the resources and the NDJSON of a folder, sorted by name.

    Raises:
        PanelRefused: the folder is not there or holds no FHIR.
    """
    if not folder.is_dir():
        raise PanelRefused(f"{folder} is not a folder.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and _is_read(path))
    if not files:
        raise PanelRefused(
            f"{folder} holds no bundle (.json) and no NDJSON (.ndjson, .jsonl), packed with gzip (.gz) or not."
        )
    return files


def files_passed_over(folder: Path) -> list[Path]:
    """Returns the files of the folder that are of no form that is read, without those that are hidden."""
    others = (path for path in folder.rglob("*") if path.is_file() and not _is_read(path))
    return sorted(path for path in others if not path.name.startswith("."))


def _is_read(path: Path) -> bool:
    return path.name.lower().endswith((*_LINES, *_DOCUMENTS))


def _add_document(content: bytes, partitioner: Partitioner, tally: GroupingTally) -> None:
    """Takes in a bundle or a single resource; an object that says no type, as a list of files, is none."""
    try:
        document = _document.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        tally.unreadable += 1
        return
    if document.resourceType not in (None, "Bundle"):
        tally.resources += 1
        partitioner.add(head_of(content), _on_one_line(content), {})
        return
    heads = []
    names: dict[str, str] = {}
    for entry in document.entry:
        resource = bytes(entry.resource)
        if resource == b"null":
            continue
        head = head_of(resource)
        heads.append((head, resource))
        if head is not None and entry.fullUrl and head.id:
            names[entry.fullUrl] = f"{head.resourceType}/{head.id}"
    for head, resource in heads:
        tally.resources += 1
        partitioner.add(head, _on_one_line(_renamed(resource, names)), names)


def _on_one_line(resource: bytes) -> bytes:
    """Returns the resource as a line of NDJSON; a line break within JSON stands between its parts, never in a text."""
    return resource.translate(_LINE_BREAKS) + b"\n"


def _renamed(line: bytes, names: dict[str, str]) -> bytes:
    """Returns the resource with references by fullUrl as Type/id, as a server gives them."""
    if b'"urn:' not in line:
        return line
    return re.sub(
        rb'"(urn:[^"]+)"', lambda match: f'"{names.get(match[1].decode(), match[1].decode())}"'.encode(), line
    )
