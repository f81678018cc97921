"""Refuses files of a site whose reading would wait for a writer, or never end."""

import errno
import os
import stat
from pathlib import Path


def plain_file(path: Path) -> Path:
    """Return the path, for reading it: a file, or whatever else reading ends with by itself, `/dev/null` among it.

    Raises:
        OSError: It is a named pipe, a socket or a device. With such a file a start would hang, or take all memory.
    """
    try:
        status = path.stat()
    except OSError:
        return path  # reading it says why
    mode = status.st_mode
    is_special = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISBLK(mode) or stat.S_ISCHR(mode)
    if is_special and status.st_rdev != os.stat(os.devnull).st_rdev:
        raise OSError(errno.EINVAL, "it is a named pipe, a socket or a device, not a file", str(path))
    return path
