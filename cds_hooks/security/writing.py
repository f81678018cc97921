"""Writes the trust file for a person: a commented beginning, and one table for each client that is added."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cds_hooks.security.trust_file import ANYTHING, Known, TrustFile, TrustFileError, read_trust_file

BEGINNING: Final = """\
# Who may call this CDS Hooks server, and which FHIR servers it may read for them (docs/operations/trust.md).
# The server reads this file again within a second of a change. One that is wrong changes nothing:
# cds-hooks trust check says what is wrong with it.
version = 1

# Whether GET /cds-services needs a token too.
discovery_needs_token = true

# Key sets that are fetched: how often again, and how long the old one is used while that fails.
[jwks]
refresh_seconds = 900
outage_seconds = 86400
"""


def write_beginning(path: Path) -> None:
    """A new file without clients; FileExistsError where there is one."""
    with path.open("x") as file:
        file.write(BEGINNING)


def add_client(path: Path, settings: Mapping[str, Any], known: Known = ANYTHING) -> TrustFile:
    """Adds one client at the end of the file; TrustFileError, and the file as it was, where it would be wrong."""
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TrustFileError(path, "unreadable", f"the file cannot be read: {error.strerror}") from error
    # beside the file, because paths in it are relative to its folder, and a rename has to stay on one disk
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(before.rstrip("\n") + "\n\n" + client_table(settings))
        draft.chmod(path.stat().st_mode & 0o777)
        found = read_trust_file(draft, known)
        draft.replace(path)
    except TrustFileError as error:
        raise TrustFileError(path, error.kind, *error.problems) from error
    finally:
        draft.unlink(missing_ok=True)
    return found


def client_table(settings: Mapping[str, Any]) -> str:
    """A `[[client]]` in TOML; what is None or empty is left out."""
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items() if value not in (None, [], ())]
    return "\n".join(["[[client]]", *lines]) + "\n"


def _toml(value: object) -> str:
    # JSON's strings, numbers, truth values and lists of these are TOML as well, but for one character
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
