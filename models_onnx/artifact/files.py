"""Files that are written as a whole: what is read under a name was written to its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write what a file is to hold: it takes its place once the block has ended.

    Where the block fails, as on a full disk or by an interrupt, the file stays as it was, or is not there. What is no
    ordinary file, such as a pipe or /dev/stdout, is written directly.

    Raises:
        OSError: It cannot be written; named is the file itself.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()  # a link goes on leading to the file
    draft = target.with_name(f".{os.getpid()}.{target.name}")  # what is written depends on how the name ends
    try:
        yield draft
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o777)
        draft.replace(target)
    except OSError as error:
        if error.filename in (None, draft, str(draft)):  # a write that fails names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        draft.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace the content of a file; OSError where it cannot be written, and the file is then as it was."""
    with whole_file(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def encode_json(document: Any) -> bytes:
    """Return a document as the files of an artifact have it: indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
