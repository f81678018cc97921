"""The invented release: its identifiers and forms are those of the publishers, and what is below our codes is read."""

import random
from pathlib import Path

import pytest

from fhir.terminology.conditions import SNOMED, condition_groups_of
from fhir.terminology.imported import use_index
from fhir.terminology.importing import import_releases, snomed_roots
from maintenance import invented_release
from maintenance.invented_release import Writer, identifier

pytestmark = pytest.mark.slow  # They write and import a whole release.


@pytest.mark.parametrize("code", ["84114007", "73211009", "138875005", "387207008", "709044004"])
def test_the_check_digit_is_that_of_real_identifiers(code: str) -> None:
    assert identifier(int(code[:-3]), code[-3:-1]) == code


def test_held_out_descendants_of_our_codes_are_read_as_what_stands_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invented_release, "_TABLES", 20)
    writer = Writer(tmp_path, 41_000)
    files = writer.write()
    imported = import_releases(files, tmp_path / "invented.idx", lambda *_: None)
    assert imported.not_read == []
    ours = set().union(*snomed_roots().by_kind["group"].values())
    new = [code for (system, code), meaning in imported.codes.items() if system == "snomed" and code not in ours]
    below = [code for code in writer.below_ours if code not in ours]
    use_index(tmp_path / "invented.idx")
    try:
        sample = random.Random(1).sample(below, 500)
        read = [code for code in sample if condition_groups_of(SNOMED, code)]
    finally:
        use_index(None)
    assert len(new) > 500
    assert len(read) / len(sample) >= 0.98


def test_an_option_is_no_folder_to_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invented_release.main(["--help"]) == 2
    assert "FOLDER" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
