"""The card of a model before its gates: kept beside a draft, and marked wherever it is shown."""

from pathlib import Path

import msgspec
from msgspec import Struct

PREVIEW = "preview.json"
NOT_FOR_CARE = "PREVIEW, not for care"


class Preview(Struct, frozen=True):
    """What a card of one person of the table says."""

    summary: str
    detail: str
    options: tuple[str, ...] = ()


def read_preview(folder: Path) -> Preview:
    """Return the card beside a draft.

    Raises:
        OSError, msgspec.MsgspecError: there is none, or it is not readable.
    """
    return msgspec.json.decode((folder / PREVIEW).read_bytes(), type=Preview)
