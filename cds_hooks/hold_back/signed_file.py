"""A file of signed acts: written where the private key is, and handed in at the page /approvals.

    {"format": "cds-hooks-onnx/signed/1", "acts": [{"statement": {…}, "key": id, "signature": base64}]}

Each act is the detail of the event that will record it, as it was signed. The statement's own `format` says whether it
is an approval (statements.py) or an act of release (acts.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct

from cds_hooks.hold_back.statements import ApprovalRefused
from models_onnx.artifact.keys import new_private_file

FORMAT: Final = "cds-hooks-onnx/signed/1"
MOST_BYTES: Final = 1_000_000
MOST_ACTS: Final = 1_000
"""A reviewed list of every rule has some hundred."""
_PRIVATE_KEY: Final = "PRIVATE KEY"


class SignedAct(Struct, frozen=True, forbid_unknown_fields=True):
    """One act: what was signed, the id of the key, and the signature in base64."""

    statement: dict[str, Any]
    key: str
    signature: str

    @property
    def format(self) -> str:
        """The format that the statement names; "" where it names none."""
        found = self.statement.get("format")
        return found if isinstance(found, str) else ""

    @property
    def detail(self) -> dict[str, Any]:
        """The detail of the event that records it."""
        return {"statement": self.statement, "key": self.key, "signature": self.signature}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    acts: list[SignedAct]


def write_signed(file: Path, details: Sequence[dict[str, Any]]) -> None:
    """Writes the file of these details of events.

    Raises:
        ApprovalRefused: The file is there already, or cannot be written.
    """
    content = orjson.dumps({"format": FORMAT, "acts": list(details)}, option=orjson.OPT_INDENT_2)
    try:
        with new_private_file(file) as opened:
            opened.write(content + b"\n")
    except FileExistsError as error:
        raise ApprovalRefused(f"{file} is there already; nothing was changed") from error
    except OSError as error:
        raise ApprovalRefused(f"{file} cannot be written: {error.strerror}") from error


def read_signed(text: str) -> list[SignedAct]:
    """The acts of a file; nothing is verified yet.

    Raises:
        ApprovalRefused: It is no such file, or larger than one can be; the sentence never repeats its content.
    """
    if _PRIVATE_KEY in text:
        raise ApprovalRefused(
            "this is a private key, which belongs on no server: it was not kept. Make a new key (cds-hooks approve "
            "key), because this one was sent over the network, and hand in the file that --out writes"
        )
    if len(text) > MOST_BYTES:
        raise ApprovalRefused(f"the file is larger than the {MOST_BYTES:,} bytes that are read here")
    try:
        read = msgspec.json.decode(text, type=_File)
        orjson.dumps([each.detail for each in read.acts])  # what cannot be written again was never signed
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise ApprovalRefused(
            "this is no file of signed acts; cds-hooks approve and cds-hooks release write one with --out"
        ) from error
    if read.format != FORMAT:
        raise ApprovalRefused(f"the file is of another format than {FORMAT}, which this version reads")
    if not 0 < len(read.acts) <= MOST_ACTS:
        raise ApprovalRefused(f"the file has {len(read.acts):,} acts; it has 1 to {MOST_ACTS:,}")
    return read.acts
