"""Keys of releases: made once, for their owner alone; a damaged file of keys is refused."""

import stat
from pathlib import Path

import pytest

from models_onnx.artifact.keys import local_signer, maintainers, public_file, trusted_keys
from models_onnx.errors import SignatureRefused
from tests.each import each_row

ROOT = Path(__file__).resolve().parents[3]


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    first, made = local_signer(path, "me")
    again, made_again = local_signer(path, "me")
    assert (made, made_again) == (True, False)
    assert first.public == again.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert trusted_keys(public_file(path))[first.public.id] == first.public


def test_the_maintainers_key_is_committed_and_no_private_key_is() -> None:
    assert len(maintainers()) >= 1
    committed = [path for folder in ("models_onnx", "cds_hooks") for path in (ROOT / folder).rglob("*.pem")]
    assert committed == []


@each_row("text")
def test_a_damaged_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(SignatureRefused):
        trusted_keys(path)
