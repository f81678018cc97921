"""`python -m cds_hooks.kit fhir-server` in this process: what it serves, what it prints, and what ends it."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from cds_hooks.kit.commands.options import clock, server_url, stop


def test_another_scheme_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        server_url("ftp://cds.example")
    assert ended.value.exit_code == 2
    said = "ftp://cds.example is not an http or https address; write for example http://127.0.0.1:8085\n"
    assert capsys.readouterr() == ("", said)


def test_a_command_ends_with_its_sentence_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        stop("It ends.", code=1)
    assert (ended.value.exit_code, capsys.readouterr()) == (1, ("", "It ends.\n"))


def test_the_instant_is_that_of_the_setting_or_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDS_AS_OF", "2026-11-20T09:00:00+02:00")
    assert clock().isoformat() == "2026-11-20T09:00:00+02:00"
    monkeypatch.setenv("CDS_AS_OF", "2026-11-20T09:00:00")
    assert clock() == datetime(2026, 11, 20, 9, tzinfo=UTC)
    monkeypatch.setenv("CDS_AS_OF", "")
    assert abs(datetime.now(UTC) - clock()) < timedelta(minutes=1)
    monkeypatch.setenv("CDS_AS_OF", "today")
    with pytest.raises(typer.Exit):
        clock()
    assert capsys.readouterr().err == "CDS_AS_OF is today, which is no ISO instant such as 2026-11-20T09:00:00Z\n"
