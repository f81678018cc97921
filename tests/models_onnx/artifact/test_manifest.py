"""What a manifest says beside its members: ages in words, percentiles, periods, inputs by name."""

import base64
import json
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from models_onnx.artifact import folder as folders
from models_onnx.artifact.files import whole_file, write_whole
from models_onnx.artifact.folder import load_artifact
from models_onnx.artifact.keys import key_file, local_signer, maintainers, public_file, read_signer, trusted_keys
from models_onnx.artifact.manifest import AgeBandThreshold, Manifest, encode_manifest
from models_onnx.errors import ManifestRefused, SignatureRefused, UnsafeModel
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release.publishing import sign_folder
from tests.models_onnx.workshop import KEYS, SIGNER, STRANGER, build

TEXT = (ARTIFACTS / "mortality_5y" / "manifest.json").read_bytes()
MANIFEST = msgspec.json.decode(TEXT, type=Manifest)
BAND = AgeBandThreshold(70, 80, 0.5, 0.6, 0.1, 0.2, 0.3, (-1.0, 0.0, 0.0, 2.0))


def test_the_percentile_of_a_band_counts_who_has_a_lower_margin() -> None:
    assert [BAND.percentile(margin) for margin in (-2.0, -1.0, -0.5, 0.0, 0.1, 2.0, 2.1)] == [0, 0, 1, 1, 3, 3, 4]
    assert replace(BAND, percentiles=()).percentile(0.0) is None


def test_the_group_of_an_input_is_that_which_has_another_input_as_well() -> None:
    manifest = replace(MANIFEST, groups={"alone": ("age",), "labs": ("sodium", "albumin")})
    groups = [manifest.group_of(name) for name in ("age", "albumin", "unknown")]
    assert groups == [(), ("labs", "sodium", "albumin"), ()]


def test_periods_are_those_of_the_training_unless_every_row_is_recent() -> None:
    trained = replace(MANIFEST, period=replace(MANIFEST.period, training="1999-2014", recalibration="2005-2014"))
    assert (trained.is_all_recent, trained.table_period) == (False, "1999-2014")
    whole = replace(trained, reference=replace(trained.reference, n=trained.cohort.n))
    assert (whole.is_all_recent, whole.table_period) == (True, "2005-2014")
    same = replace(trained, period=replace(trained.period, training="2005-2014"))
    assert (same.is_all_recent, same.table_period) == (True, "2005-2014")


def test_inputs_are_had_by_name() -> None:
    assert MANIFEST.feature("rdw_pct") is next(item for item in MANIFEST.features if item.name == "rdw_pct")
    with pytest.raises(KeyError, match="height"):
        MANIFEST.feature("height")


def test_a_manifest_is_written_as_it_was() -> None:
    written = encode_manifest(MANIFEST)
    assert msgspec.json.decode(written) == msgspec.json.decode(TEXT)
    assert (written[:4], written[-3:]) == (b'{\n "', b"\n}\n")


# A release of another model, a file that is too large, and errors of other files, each in its sentence.
@pytest.mark.parametrize(("name", "version"), [("other", None), (None, "9.9.9")])
def test_a_release_of_another_model_or_version_is_refused(
    tmp_path: Path, name: str | None, version: str | None
) -> None:
    home = build(tmp_path)
    manifest = load_artifact(home, KEYS).manifest
    sign_folder(home, name or manifest.id, version or manifest.version, SIGNER)
    with pytest.raises(ManifestRefused) as refused:
        load_artifact(home, KEYS)
    assert str(refused.value) == (
        f"mortality_5y: the release is of {name or 'mortality_5y'} {version or manifest.version}, the manifest of "
        f"mortality_5y {manifest.version}"
    )


def test_a_model_is_read_up_to_the_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = build(tmp_path)
    size = (home / "model.onnx").stat().st_size
    monkeypatch.setattr(folders, "LARGEST_BYTES", max(size, (home / "card.json").stat().st_size))
    assert load_artifact(home, KEYS).manifest.id == "mortality_5y"
    monkeypatch.setattr(folders, "LARGEST_BYTES", size - 1)
    with pytest.raises(UnsafeModel, match=r"is larger than 0 MB$"):
        load_artifact(home, KEYS)


def test_an_error_of_another_file_stays_what_it_is_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "before")
    for other in ("elsewhere", str(tmp_path / "b.txt")):
        error = OSError(2, "No such file or directory", other)
        with pytest.raises(OSError, match="No such file") as raised, whole_file(path):
            raise error
        assert raised.value is error
    with pytest.raises(OSError, match="full") as named, whole_file(path):
        raise OSError(28, "full")
    assert (named.value.errno, named.value.strerror, named.value.filename) == (28, "full", str(path))
    with pytest.raises(OSError, match="full") as named, whole_file(path) as draft:
        raise OSError(28, "full", str(draft))
    assert named.value.filename == str(path)
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


ROOT = Path(__file__).resolve().parents[3]


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.pem"
    first, made = local_signer(path, "me")
    again, made_again = local_signer(path, "me")
    assert (made, made_again) == (True, False)
    assert first.public == again.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert trusted_keys(public_file(path))[first.public.id] == first.public


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What is written beyond so many bytes fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [50, 125])  # neither half fits, the private half does
def test_a_key_that_cannot_be_written_whole_is_no_key(tmp_path: Path, most: int) -> None:
    path = tmp_path / "key.pem"
    with files_of_at_most(most), pytest.raises(OSError, match="too large"):
        local_signer(path, "somebody with a name that is long enough")
    assert not path.exists()
    _, made = local_signer(path, "me")
    assert made


def test_a_signature_is_of_its_message_and_key_only() -> None:
    signature = SIGNER.sign(b"this")
    assert SIGNER.public.verifies(signature, b"this")
    assert not SIGNER.public.verifies(signature, b"that")
    assert not STRANGER.public.verifies(signature, b"this")
    assert not SIGNER.public.verifies(b"short", b"this")


def test_the_maintainers_key_is_committed_and_no_private_key_is() -> None:
    assert len(maintainers()) >= 1
    committed = [path for folder in ("models_onnx", "cds_hooks") for path in (ROOT / folder).rglob("*.pem")]
    assert committed == []


def test_a_private_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    private = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(SignatureRefused, match="no Ed25519 key"):
        read_signer(path, "me")
    path.write_bytes(b"not a key")
    with pytest.raises(SignatureRefused, match="cannot be read"):
        read_signer(path, "me")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"keys": [{"name": "a"}]}',
        '{"keys": [{"name": "a", "public_key": "!!!"}]}',
        json.dumps({"keys": [{"name": "a", "public_key": base64.b64encode(b"short").decode()}]}),
    ],
)
def test_a_damaged_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(SignatureRefused):
        trusted_keys(path)


def test_a_file_of_keys_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SignatureRefused, match="cannot be read"):
        trusted_keys(tmp_path / "absent.json")


def test_one_changed_bit_of_the_trusted_key_makes_its_signatures_a_strangers(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(key_file(SIGNER.public))
    raw = bytearray(SIGNER.public.raw)
    raw[0] ^= 1
    damaged = json.loads(path.read_text())
    damaged["keys"][0]["public_key"] = base64.b64encode(bytes(raw)).decode()
    path.write_text(json.dumps(damaged))
    assert SIGNER.public.id not in trusted_keys(path)
