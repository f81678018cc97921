"""Sends files with headers of ours: those of a folder, and tables as CSV."""

import csv
import io
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

# Python 3.11 does not know them, and the type must be right with nosniff
mimetypes.add_type("image/webp", ".webp")
mimetypes.add_type("text/javascript", ".js")


class Files(StaticFiles):
    """The files of a folder."""

    def __init__(self, folder: Path, headers: Mapping[str, str]) -> None:
        super().__init__(directory=folder)
        self._headers = headers

    async def get_response(self, path: str, scope: Any) -> Response:
        """Return the file, or what is answered in its place, with the headers."""
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response


def csv_of(rows: Iterable[Sequence[Any]]) -> bytes:
    """Lines of CSV; nothing where there is no value, and what a spreadsheet would take for a formula is text."""
    out = io.StringIO()
    csv.writer(out).writerows(map(plain_cell, row) for row in rows)
    return out.getvalue().encode()


def plain_cell(value: Any) -> Any:
    """Return a value for a cell of CSV: a text that a spreadsheet would take for a formula gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
