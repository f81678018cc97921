"""The program: what it says of an error about a file or a feature, of its settings, and of its version."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cds_hooks import cli, packages
from fhir.mapping.features.feature import FeatureFault
from tests.program import run_program

FORM = "cannot be read as this command needs it ({}): look at its form and encoding."


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError(2, "No such file", "a.csv"), "a.csv: No such file."),
        (OSError(5, "Input/output error"), "Input/output error."),
        (OSError("the disk is full"), "the disk is full."),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "x"), FORM.format("UnicodeDecodeError")),
        (json.JSONDecodeError("x", "", 0), FORM.format("JSONDecodeError")),
        (EOFError(), FORM.format("EOFError")),
        (msgspec.DecodeError("x"), FORM.format("DecodeError")),
        (RecursionError("deep"), FORM.format("RecursionError")),
        (ValueError("Exceeds the limit (4300 digits) for integer string conversion"), FORM.format("ValueError")),
        (ValueError("another"), None),
        (KeyError("x"), None),
    ],
)
def test_an_error_about_a_file_names_it(
    error: Exception, sentence: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    is_of_content = sentence is not None and sentence.startswith("cannot be read")
    for words, files in (
        (["score", "m", "a.csv"], "a.csv"),
        (["score", "--rows=a.csv", "--card", "b.json", "none.json"], "a.csv and b.json"),
        (["score", "m"], "A file that this command reads"),
    ):
        monkeypatch.setattr(sys, "argv", ["a.csv", *words])
        assert cli._about_a_file(error) == (f"{files} {sentence}" if is_of_content else sentence)


def _main(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Any:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr("atexit.register", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_a_feature_that_cannot_be_used_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, FeatureFault("features.toml: no unit")) == 1
    assert capsys.readouterr() == ("", "A feature cannot be used: features.toml: no unit\n")


def test_a_setting_is_named_in_capitals_with_what_is_wrong_and_a_pair_of_them_without_a_name() -> None:
    done = run_program("settings", environment={"CDS_CALL_SECONDS": "soon", "CDS_LOGIN": "nobody"})
    said = sorted(line.partition(":")[0] for line in done.stderr.splitlines())
    assert (done.returncode, done.stdout, said) == (2, "", ["CDS_CALL_SECONDS", "CDS_LOGIN"])
    done = run_program("settings", environment={"CDS_LOGIN": "oidc"})
    needs = "CDS_LOGIN=oidc needs CDS_OIDC_FILE (docs/operations/access.md)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", needs)


def test_what_was_closed_is_opened_again_before_anything_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []

    def app() -> None:
        printed.extend([sys.stdout.name, sys.stderr.name, sys.stdout.write("x")])

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr("atexit.register", lambda _: None)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    cli.main()
    for stream in (sys.stdout, sys.stderr):
        stream.close()
    assert printed == [os.devnull, os.devnull, 1]


def test_the_rules_of_the_site_are_named_before_a_rule_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    used: list[Any] = []
    monkeypatch.setattr(packages, "use_rules_of_site", used.append)
    monkeypatch.delenv("CDS_SITE_RULES", raising=False)
    cli._use_site_rules()
    assert used == []
    assert run_program("--version", environment={"CDS_SITE_RULES": str(tmp_path)}).returncode == 0
    assert used == [tmp_path]


def test_a_variable_that_is_no_setting_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.upper().startswith("CDS_")]:
        monkeypatch.delenv(name)
    cli._warn_of_settings()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("cds_call_second", "1")
    cli._warn_of_settings()
    warning = "Warning: cds_call_second is no setting; did you mean CDS_CALL_SECONDS?\n"
    assert capsys.readouterr() == ("", warning)


def test_the_version_is_printed_alone() -> None:
    done = run_program("--version")
    assert (done.returncode, done.stdout) == (0, f"cds-hooks {version('cds-hooks-onnx')}\n")
