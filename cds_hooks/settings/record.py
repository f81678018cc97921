"""The settings of the record: where decisions are kept, what of them, and how it is protected."""

from pathlib import Path
from typing import Literal

    keep_facts: bool = Field(
        default=True,
        description="Whether each decision keeps the facts that its answer read, so that a replay gives the same card "
        "bit for bit without the request (docs/operations/replay.md, and sizing.md for the room that it takes).",
    )
