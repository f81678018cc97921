"""Settings: a misspelt name is refused, addresses are checked, what is in force can be printed without secrets."""

import json

import pytest
from pydantic import ValidationError

from cds_hooks.settings import SETTINGS, Settings
from cds_hooks.settings.checks import ignored_settings
from tests.each import for_rows
from tests.program import run_program


def test_a_misspelt_setting_is_named_with_the_nearest_right_name() -> None:
    done = run_program("settings", environment={"CDS_DATABSE_URL": "sqlite:///x", "CDS_QQQ": "1"})
    assert done.returncode == 0
    assert "CDS_DATABSE_URL is not a setting; did you mean CDS_DATABASE_URL?" in done.stderr
    assert "CDS_QQQ is not a setting; cds-hooks settings lists all settings." in done.stderr


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
