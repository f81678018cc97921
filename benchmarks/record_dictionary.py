"""`python -m benchmarks.record_dictionary RECORD`: trains the dictionary with which the record is compressed.

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

_BYTES = 110 * 1024


def main(record: str) -> None:
    """Writes the dictionary beside the module that uses it."""
    rows = read_rows(f"sqlite:///{record}", select(decisions.c.response, decisions.c.basis))
    samples: list[bytes | bytearray | memoryview[int]] = [bytes(value) for row in rows for value in row]
    trained = zstandard.train_dictionary(_BYTES, samples, dict_id=content.DICTIONARY_ID)
    file = Path(content.__file__).with_name(f"content-{content.DICTIONARY_ID}.zdict")
    file.write_bytes(trained.as_bytes())
    print(f"{file}: {len(trained.as_bytes())} bytes from {len(samples)} values")


if __name__ == "__main__":
    main(sys.argv[1])
