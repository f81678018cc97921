"""Settings: a misspelt name is refused, addresses are checked, what is in force can be printed without secrets."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from cds_hooks.settings import SETTINGS, Settings
from cds_hooks.settings.checks import KEY_FILES, ignored_settings
from tests.each import for_rows
from tests.program import run_program


def test_a_misspelt_setting_is_named_with_the_nearest_right_name() -> None:
    done = run_program("settings", environment={"CDS_DATABSE_URL": "sqlite:///x", "CDS_QQQ": "1"})
    assert done.returncode == 0
    assert "CDS_DATABSE_URL is not a setting and was ignored; did you mean CDS_DATABASE_URL?" in done.stderr
    assert "CDS_QQQ is not a setting and was ignored; cds-hooks settings lists all settings." in done.stderr


def test_a_variable_of_another_program_is_not_taken_for_a_setting_that_it_does_not_resemble() -> None:
    names = ("CDS_PORT", "CDS_FOO", "CDS_HOST", "CDS_HOME")
    (*sentences,) = ignored_settings(dict.fromkeys(names, "1") | {"CDS_METRICS_DIR": "x"}, SETTINGS)
    assert len(sentences) == len(names)
    assert not [sentence for sentence in sentences if "did you mean" in sentence]


@for_rows(("name", "value"))
def test_an_address_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({name: value})


@for_rows("codes", ["no-cds", "|no-cds", "https://example.org/flags|", "a|b|c", "a|b,c d|e"])
def test_a_flag_by_which_patients_opt_out_is_named_with_its_system(codes: str) -> None:
    with pytest.raises(ValidationError, match=r"write it as https://example.org/flags\|no-cds"):
        Settings(opt_out_flags=codes)
    assert Settings(opt_out_flags=" a|b, urn:oid:1.2|3,").opt_out_codes == {("a", "b"), ("urn:oid:1.2", "3")}


def test_what_is_in_force_is_printed_with_its_origin_and_without_secrets() -> None:
    environment = {
        "CDS_DATABASE_URL": "postgresql://cds:topsecretword@db.example.org/cds",
        "CDS_OPERATOR_TOKEN": "anothersecretword-0123",
    }
    done = run_program("settings", "--json", environment=environment)
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert set(rows) == {f"CDS_{name.upper()}" for name in SETTINGS}
    assert rows["CDS_DATABASE_URL"]["from"] == "environment"
    assert rows["CDS_CALL_SECONDS"]["from"] == "default"
    assert "secretword" not in done.stdout


@for_rows(
    "value", ["deadbeef" * 8, "-----BEGIN PRIVATE KEY-----\nSECRET", '{"k": "SECRET"}', "eyJhb.eyJpc.SECRET", "SECRET"]
)
def test_a_key_pasted_into_any_setting_is_refused_unprinted_and_makes_no_file(tmp_path: Path, value: str) -> None:
    hidden = [name for name in SETTINGS if name in KEY_FILES or value != "SECRET"]
    for name in hidden:
        done = run_program("settings", environment={f"CDS_{name.upper()}": value}, folder=tmp_path)
        assert "SECRET" not in done.stdout + done.stderr, name
        assert "deadbeef" not in done.stdout + done.stderr, name
        assert name not in KEY_FILES or done.returncode == 2, name
    assert not list(tmp_path.iterdir())


@for_rows(("words", "environment"))
def test_nothing_that_looks_like_a_secret_is_printed_or_named_as_a_file(
    tmp_path: Path, words: str, environment: dict[str, str]
) -> None:
    done = run_program(*words.replace("KEY", "deadbeef" * 8).split(), environment=environment, folder=tmp_path)
    assert "SECRET" not in done.stdout + done.stderr
    assert "deadbeef" not in done.stdout + done.stderr
