"""Says why a file that was named cannot be read, in the words of the whole program (fhir/terminology/plain_file.py)."""

from pathlib import Path


def unreadable(path: Path, error: OSError) -> str:
    """Return the file's name and why it cannot be read."""
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return f"{path} is not there, nor is its folder {path.parent}"
        return f"{path} is not there" + ("" if path.is_absolute() else f"; it was looked for in {Path.cwd()}")
    if isinstance(error, IsADirectoryError):
        return f"{path} is a folder; give a file"
    if isinstance(error, PermissionError):
        return f"{path} may not be read by the user who runs this program"
    return f"{path} cannot be read: {error.strerror}"
