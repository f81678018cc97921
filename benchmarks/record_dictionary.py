"""`python -m benchmarks.record_dictionary RECORD`: trains the dictionaries with which the record is compressed.

RECORD is an SQLite record of calls with the invented sample patients only (`cds-hooks samples`), never with other
people's data, because the dictionary is committed and holds pieces of what it was trained with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import zstandard
from sqlalchemy import select

from cds_hooks.storage import content
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions

_BYTES = 60 * 1024
_SEGMENT, _DMER = 1000, 8
"""Long pieces: facts come out half as long as with what the trainer chooses by itself, answers somewhat smaller."""


def main(record: str) -> None:
    """Writes the dictionaries, that of answers and that of facts, beside the module that uses them."""
    url, columns = f"sqlite:///{record}", decisions.c
    for number, wanted in (
        (content.DICTIONARY_ID, (columns.response, columns.basis)),
        (content.FACTS_DICTIONARY, (columns.facts,)),
    ):
        rows = read_rows(url, select(*wanted).where(columns.facts.is_not(None)))
        samples: list[bytes | bytearray | memoryview[int]] = [bytes(value) for row in rows for value in row]
        trained = zstandard.train_dictionary(_BYTES, samples, dict_id=number, k=_SEGMENT, d=_DMER)
        file = Path(content.__file__).with_name(f"content-{number}.zdict")
        file.write_bytes(trained.as_bytes())
        print(f"{file}: {len(trained.as_bytes())} bytes from {len(samples)} values")


if __name__ == "__main__":
    main(sys.argv[1])
