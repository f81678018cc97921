"""TOML files: read as they are, refused with a sentence that says what to do."""

from pathlib import Path

import pytest

from fhir.terminology.toml_file import TomlFault, read_toml


def test_a_file_is_read_up_to_the_limit_of_its_size(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"limit = 4")
    assert read_toml(file) == {"limit": 4}
    assert read_toml(file, 9) == {"limit": 4}
    with pytest.raises(TomlFault, match="is larger than 8 bytes") as larger:
        read_toml(file, 8)
    assert larger.value.is_unreadable


@pytest.mark.parametrize(
    ("content", "words", "is_unreadable"),
    [
        (b"limit = ", "is not valid TOML", False),
        (b'a = 1\nb = "\xff"', r"it is not UTF-8 \(at line 2\)", False),
        (None, "cannot be read: No such file", True),
    ],
)
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes | None, words: str, is_unreadable: bool) -> None:
    file = tmp_path / "a.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TomlFault, match=words) as fault:
        read_toml(file)
    assert fault.value.is_unreadable is is_unreadable
