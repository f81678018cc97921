"""What of a file of an archive is read, and what is refused in which words: lines changed by hand."""

import lzma
from pathlib import Path

import orjson
import pytest

from cds_hooks.audit.archive import archive, read_archive
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.artifact.keys import Signer
from tests.cds_hooks.audit.test_archive import NEW, OLD, _write, signer
from tests.cds_hooks.storage.conftest import sqlite_url

__all__ = ["signer", "sqlite_url"]


def test_each_line_of_an_archive_is_checked_against_its_hash(sqlite_url: str, tmp_path: Path, signer: Signer) -> None:
    _write(sqlite_url, ("a", OLD), ("a", NEW))
    file = tmp_path / "a.xz"
    made = archive(sqlite_url, "a", NEW, file, "Ann", signer)
    assert made is not None
    rows = list(read_archive(file))
    assert sorted(name for name, _ in rows) == ["decisions"] * made.decisions + ["feedback"] * made.feedback
    head, *lines = lzma.decompress(file.read_bytes()).splitlines()
    place = next(at for at, line in enumerate(lines) if orjson.loads(line)[0] == "decisions")
    forged = lines[place].replace(b'"a"', b'"b"')
    assert forged != lines[place]
    other = orjson.dumps(orjson.loads(head) | {"archive": "of another time"})
    for text, problem in (
        ([other, *lines], f"{file} is not an archive that this version can read"),
        ([head, *lines[:place], forged, *lines[place + 1 :]], f"a row of decisions in {file} is not as it was written"),
        ([head, b"[]"], f"{file} is not a complete archive"),
        ([b"1"], f"{file} is not a complete archive"),
    ):
        file.write_bytes(lzma.compress(b"\n".join(text)))
        with pytest.raises(RecordUnavailable) as refused:
            list(read_archive(file))
        assert str(refused.value) == problem
    file.write_bytes(lzma.compress(b"\n".join([head, *lines]))[:-40])
    with pytest.raises(RecordUnavailable, match="is not a complete archive"):
        list(read_archive(file))
    with pytest.raises(RecordUnavailable, match=r"none\.xz cannot be read: No such file or directory"):
        list(read_archive(tmp_path / "none.xz"))
