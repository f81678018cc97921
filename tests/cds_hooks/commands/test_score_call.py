"""`cds-hooks score`: what is scored by which model of which folder, with which options, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.commands.score import charts
from cds_hooks.commands.score import main as score
from models_onnx.batch import TableDeclaration
from models_onnx.batch.run import ScoringJob, ScoringResult

RESULT = ScoringResult(rows=2, scored=Counter({"m": 2}))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was scored; `withheld` says why the model shows no cards here."""
    there = SimpleNamespace(jobs=[], loaded=[], of_charts=[], asked=[], withheld=None, model_state="validated")

    def score_table(job: ScoringJob, done: Any) -> ScoringResult:
        done(1)
        there.jobs.append(job)
        return RESULT

    def load(*given: Any) -> Any:
        there.loaded.append(given)
        return SimpleNamespace(model="the model")

    monkeypatch.setattr(score, "settings", lambda: there)
    monkeypatch.setattr(score, "own_keys", lambda _: "keys")
    monkeypatch.setattr(score, "folder_of", lambda name, _: Path(f"folder of {name}"))
    monkeypatch.setattr(score, "load", load)
    monkeypatch.setattr(score, "why_withheld", lambda *given: there.asked.append(given) or there.withheld)
    monkeypatch.setattr(score, "moment", lambda: "now")
    monkeypatch.setattr(score, "score_table", score_table)
    monkeypatch.setattr(charts, "score_charts", lambda *given: there.of_charts.append(given))
    return there


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["score", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_table_is_scored_by_the_model_of_the_site_or_of_the_folder_that_is_named(site: Any) -> None:
    said = "2 rows: out.csv\n  scored by m: 2\n"
    assert run("m", "rows.csv", "--out", "out.csv") == (0, said, "")
    code, shown, _ = run("m", "rows.csv", "--out", "out.csv", "--folder", "own", "--json")
    assert (code, json.loads(shown)["scored"]) == (0, {"m": 2})
    assert site.loaded == [("m", Path("folder of m"), "keys"), ("m", Path("own"), "keys")]
    assert site.of_charts == []


def test_a_model_that_shows_no_cards_here_is_scored_and_that_is_said(site: Any) -> None:
    site.withheld = "it is a draft"
    assert run("m", "rows.csv", "--out", "out.csv")[2] == (
        "This server would show no card of this model: it is a draft.\n"
    )
    assert site.asked == [("the model",)]


def test_charts_are_scored_by_what_is_named(site: Any) -> None:
    words = ("--fhir", "export", "--out", "out.csv")
    assert run(*words) == (0, "", "")
    more = ("--as-of", "2026-11-20", "--only", "a", "--only", "b", "--features", "--workers", "8", "--json")
    assert run("m", *words, *more)[0] == 0
    fhir, out = Path("export"), Path("out.csv")
    assert site.of_charts == [
        (fhir, None, out, (), False, 1, False),
        (fhir, "2026-11-20", out, ("a", "b", "m"), True, 8, True),
    ]
    assert site.jobs == []


@pytest.mark.parametrize("words", [(), ("m",)])
def test_a_model_and_a_table_are_named_or_a_folder(site: Any, words: tuple[str, ...]) -> None:
    name = "Name a model and a table, or a folder of FHIR by --fhir.\n"
    assert run(*words, "--out", "out.csv") == (2, "", name)


def test_what_is_declared_goes_with_the_job(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def job(*members: Any) -> Any:
        given.append(members)
        return members

    monkeypatch.setattr(score, "ScoringJob", job)
    run("m", "rows.csv", "--out", "out.csv")
    run("m", "-", "--out", "o.ndjson", "--id", "mrn", "--unit", "bun=mmol/L", "--explain", "--from", "csv", "--workers",
        "3")  # fmt: skip
    model = SimpleNamespace(model="the model")
    assert [members[3:] for members in given] == [
        (None, TableDeclaration(), False, None, "now", 1),
        ("mrn", TableDeclaration(units={"bun": "mmol/L"}), True, "csv", "now", 3),
    ]
    assert [members[0] for members in given] == [model, model]
    assert [str(members[1]) for members in given] == ["rows.csv", "-"]
    assert [members[2] for members in given] == [Path("out.csv"), Path("o.ndjson")]
