"""A named pipe, a device or a line without end is refused: reading it would wait, or take all memory."""

import gzip
import lzma
import os
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Timer

import pytest

from cards.rules.language.site import read_text
from cds_hooks.add_ons.events.declaration import read_declaration
from cds_hooks.call.hold_back.site_file import read_rules_file
from cds_hooks.call.protocol.hooks.declared import read_declarations
from cds_hooks.call.security.trust_file import read_trust_file
from cds_hooks.call.services import find_services
from cds_hooks.evidence.audit.seals import newest_seal, read_seals
from cds_hooks.evidence.outcomes.files import read_file as read_outcomes
from cds_hooks.evidence.storage.content import key_text, read_user_keys
from cds_hooks.settings.fields import read_provider
from fhir.record.charts import read_resources
from fhir.terminology.plain_file import plain_file
from models_onnx.artifact.folder import read_manifest
from models_onnx.artifact.keys import read_keys, read_signer
from models_onnx.artifact.release_file import parse_release
from models_onnx.batch.tables import open_table
from models_onnx.workbench.training.data.cohort import read_csv

READERS: dict[str, Callable[[Path], object]] = {
    "b.toml": read_rules_file,
    "c.toml": read_trust_file,
    "d.toml": lambda file: read_declaration(file, ()),
    "e.toml": read_provider,
    "hooks.toml": read_declarations,
    "a.service.toml": lambda file: find_services(file="separate", site_folder=file.parent),
    "rule.json": read_text,
    "seals.ndjson": lambda file: read_seals(file, {}),
    "newest.ndjson": newest_seal,
    "content.txt": key_text,
    "users.txt": read_user_keys,
    "keys.txt": read_keys,
    "key.pem": lambda file: read_signer(file, "a test"),
    "manifest.json": lambda file: read_manifest(file.parent),
    "release.json": lambda file: parse_release(file.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_a_named_pipe_is_refused_by_whoever_reads_it(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    writer = os.open(tmp_path / name, os.O_RDWR)
    ended = Timer(10, os.close, [writer])  # who reads it waits until then, and not for ever
    ended.start()
    with pytest.raises(Exception, match=r"pipe|cannot be read|never published"):
        READERS[name](tmp_path / name)
    assert ended.is_alive(), "it was read"
    ended.cancel()
    os.close(writer)


def test_what_ends_by_itself_is_read_and_what_does_not_is_refused(tmp_path: Path) -> None:
    file, link, endless = tmp_path / "a.toml", tmp_path / "b.toml", tmp_path / "c.toml"
    file.write_text("a = 1\n")
    link.symlink_to(file)
    endless.symlink_to("/dev/zero")
    for path in (file, link, Path(os.devnull), tmp_path, tmp_path / "absent"):
        assert plain_file(path) == path
    with pytest.raises(OSError, match="a named pipe, a socket or a device"):
        plain_file(endless)


LINE_READERS: dict[str, tuple[Callable[[Path], object], int]] = {
    "outcomes.csv": (read_outcomes, 2**24),
    "training.csv": (lambda file: read_csv(file, {}), 2**24),
    "training.csv.gz": (lambda file: read_csv(file, {}), 2**24),
    "scored.csv": (lambda file: ExitStack().enter_context(open_table(file)), 2_000_000),
    "scored.csv.gz": (lambda file: ExitStack().enter_context(open_table(file)), 2_000_000),
    "charts.ndjson.gz": (lambda file: list(read_resources(file)), 2**26),
}


@pytest.mark.parametrize("name", LINE_READERS)
@pytest.mark.slow
def test_a_line_without_end_is_refused_with_file_line_and_limit_before_it_fills_the_memory(
    tmp_path: Path, name: str
) -> None:
    read, longest = LINE_READERS[name]
    packers: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".xz": lzma.compress}
    pack = packers.get(Path(name).suffix)
    (tmp_path / name).write_bytes(b"a" if pack is None else pack(b"a" * (longest + 2**20)))
    if pack is None:
        os.truncate(tmp_path / name, 2**32)
    tracemalloc.start()
    try:
        with pytest.raises(Exception, match=rf"{name}(, line 1: it is longer than|.* a line of over) {longest:,} "):
            read(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 4 * longest + 2**24
    finally:
        tracemalloc.stop()
