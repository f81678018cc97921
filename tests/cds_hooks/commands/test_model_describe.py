"""`cds-hooks model list`, `card`, `dataset` and `sample-size`: what they print, write, refuse and end with."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from cds_hooks.commands.model import describe
from cds_hooks.commands.model.main import app
from models_onnx.artifact.release_file import parse_release
from models_onnx.model_card.formats import card_html, chai_xml, fhir_bundle
from models_onnx.model_card.markdown import card_markdown, hugging_face_card
from models_onnx.model_card.schema import card_schema
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release import listing
from models_onnx.workbench.release.listing import ListedModel
from models_onnx.workbench.training.data import dataset

HOME = ARTIFACTS / "mortality_5y"
CARD = json.loads((HOME / "card.json").read_bytes())
AT = "2026-11-20T09:00:00+00:00"
READY = ListedModel("m", "2.0.0", "Deaths", "ready", "0123456789abcdef", 0.81249, "validated")
IMPORTED = ListedModel("theirs", "1.0", "Falls", "imported", "fedcba9876543210", None, "draft")
UNTRAINED = ListedModel("n", "1.0.0", "Stays", "not trained")


def run(*words: object) -> tuple[int, str, str]:
    """The exit code of the command as typed after `cds-hooks model`, what was printed, and the errors."""
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("models", "code"), [([READY], 0), ([READY, IMPORTED], 0), ([READY, UNTRAINED], 1), ([UNTRAINED], 1)]
)
def test_a_list_ends_well_where_every_model_is_ready(
    models: list[ListedModel], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def listed(*where: Any) -> tuple[ListedModel, ...]:
        asked.append(where)
        return tuple(models)

    monkeypatch.setattr(listing, "list_models", listed)
    rows = {
        "m": ["m", "2.0.0", "Deaths", "ready", "validated", "0.812", "0123456789ab"],
        "theirs": ["theirs", "1.0", "Falls", "imported", "draft", "", "fedcba987654"],
        "n": ["n", "1.0.0", "Stays", "not trained", "", "", ""],
    }
    ended, shown, errors = run("list", "--folder", HOME, "--specs", HOME.parent)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if "│" in line]
    assert (ended, cells, errors) == (code, [rows[model.id] for model in models], "")
    ended, shown, errors = run("list", "--json")
    assert (ended, [row["id"] for row in json.loads(shown)], errors) == (code, [model.id for model in models], "")
    assert asked == [(HOME, HOME.parent), (ARTIFACTS, None)]


def test_a_folder_that_is_not_there_lists_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert run("list", "--folder", missing) == (2, "", f"--folder {missing}: there is no such folder\n")
    assert run("list", "--specs", missing)[:2] == (2, "")


FORMATS: dict[str, Callable[[Any], Any]] = {
    "html": lambda card: card_html(card).encode(),
    "markdown": lambda card: card_markdown(card).encode(),
    "huggingface": lambda card: hugging_face_card(card).encode(),
    "chai": lambda card: chai_xml(card, "active", "2026-11-20"),
    "json": lambda card: card,
    "schema": lambda card: card_schema(card["kind"]),
    "fhir": lambda card: fhir_bundle(card, "active", "cafe", AT, "http://127.0.0.1:8085"),
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_card_is_written_whole_in_the_form_that_was_asked_for(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describe, "moment", lambda: AT)
    monkeypatch.setattr(describe, "settings", lambda: SimpleNamespace(public_url="http://127.0.0.1:8085"))
    written, expected = describe._written(CARD, form, "active", "cafe"), FORMATS[form](CARD)
    if isinstance(expected, bytes):
        assert written == expected
    else:
        assert (json.loads(written), written.endswith(b"\n}\n"), b'\n  "' in written) == (expected, True, True)


def test_a_card_is_that_of_the_model_file_with_its_state_and_its_hash() -> None:
    release = parse_release(HOME)
    assert describe._card("mortality_5y", ARTIFACTS) == (CARD, release.state, release.files["model.onnx"].sha256)
    card, state, sha256 = describe._card("kfre_4", ARTIFACTS)
    assert (card["kind"], state, sha256) == ("evidence-based", "active", "")
    code, shown, errors = run("card", "no_such")
    assert (code, shown, "no_such" in errors) == (2, "", True)


def test_a_card_is_printed_or_written(tmp_path: Path) -> None:
    code, shown, errors = run("card", "mortality_5y")
    assert (code, json.loads(shown), shown[-2:], errors) == (0, CARD, "}\n", "")
    out = tmp_path / "tripod.md"
    assert run("card", "mortality_5y", "--format", "tripod", "--out", out) == (0, "", "")
    code, shown, _ = run("card", "mortality_5y", "--format", "tripod")
    assert (code, shown) == (0, out.read_text())
    assert "TRIPOD+AI" in shown


def test_what_a_card_lacks_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("card", "mortality_5y", "--check") == (0, "The card is complete.\n", "")
    blanks = ["attribute 2 (funding) is blank", "attribute 16 (mitigation) is blank"]
    monkeypatch.setattr("models_onnx.model_card.schema.card_problems", lambda _: blanks)
    assert run("card", "mortality_5y", "--check") == (1, "\n".join(blanks) + "\n", "")


ROWS = pd.DataFrame(
    {
        "patient": ["a", "a", "b", "c"],
        "row": ["1", "2", "3", "4"],
        "year": [2024, 2020, 2021, 2020],
        "age_years": [50.0, 51.0, 60.0, 70.0],
        "bun_mg_dl": [None, 20.0, 30.0, 10.0],
        "event": [0, 1, 1, 0],
    }
)
SUMMARY = "4 rows of 3 patients, 2 events, 2020-2024\n  age_years: 0% missing\n  bun_mg_dl: 25% missing\n"


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A declaration that leaves out the dead and who is in palliative care; what was read of which files."""
    exclusions = [SimpleNamespace(reason=reason, at_score=at) for reason, at in
                  (("dead", "deceased"), ("palliative", "excluded"), ("too-young", None))]  # fmt: skip
    asked: list[Any] = []

    def rows_of(_: Any, folder: Path, progress: Any) -> pd.DataFrame:
        progress(3)
        asked.append(folder)
        return ROWS

    def write_inputs(_: Any, table: Path, out: Path, progress: Any) -> int:
        progress(3)
        asked.append((table, out))
        return 1234

    monkeypatch.setattr("models_onnx.spec.get_spec", lambda *_: SimpleNamespace(exclusions=exclusions))
    monkeypatch.setattr(dataset, "dataset", rows_of)
    monkeypatch.setattr(dataset, "write_inputs", write_inputs)
    return asked


def test_the_rows_of_charts_are_described_and_written(declared: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    assert run("dataset", "m", "--fhir", "charts") == (0, SUMMARY, "")
    assert run("dataset", "m", "--fhir", "charts", "--out", out) == (0, SUMMARY, "")
    assert out.read_text().splitlines()[:2] == ["patient,row,year,age_years,bun_mg_dl,event", "a,1,2024,50.0,,0"]
    code, shown, _ = run("dataset", "m", "--fhir", "charts", "--json")
    assert (code, json.loads(shown)) == (
        0,
        {
            "rows": 4, "patients": 3, "events": 2, "years": "2020-2024",
            "missing": {"age_years": 0.0, "bun_mg_dl": 0.25},
        },
    )  # fmt: skip
    assert declared == [Path("charts")] * 3


def test_the_inputs_of_a_study_are_written_and_the_next_command_is_named(declared: list[Any]) -> None:
    said = "1,234 rows: in.csv\nNext: cds-hooks score m in.csv --out SCORES.csv --exclude palliative\n"
    assert run("dataset", "m", "--table", "study.csv", "--out", "in.csv") == (0, said, "")
    assert declared == [(Path("study.csv"), Path("in.csv"))]


@pytest.mark.parametrize("words", [(), ("--fhir", "a", "--table", "b", "--out", "c"), ("--table", "b"), ("--out", "c")])
def test_a_dataset_is_made_of_charts_or_of_a_table(declared: list[Any], words: tuple[str, ...]) -> None:
    give = "give --fhir, a folder of charts, or --table with --out\n"
    assert run("dataset", "m", *words) == (2, "", give)
    assert declared == []


def test_the_people_whom_a_model_needs_are_said_by_criterion(monkeypatch: pytest.MonkeyPatch) -> None:
    from models_onnx.workbench import sample_size

    size = sample_size.SampleSize(0.2884, 623, 662, 1234, 0.174, 24)
    monkeypatch.setattr(sample_size, "sample_size", lambda *given: size if given == (0.174, 24, None, 0.288) else None)
    words = ("sample-size", "--prevalence", 0.174, "--parameters", 24, "--r2", 0.288)
    assert run(*words) == (
        0,
        "1,234 people, of whom 215 with the outcome (Cox-Snell R2 0.288).\n"
        "For a shrinkage of at least 0.9: 623.\n"
        "For an optimism in R2 of at most 0.05: 662.\n"
        "For the overall risk within 0.05: 1,234.\n",
        "",
    )
    code, shown, _ = run(*words, "--json")
    criteria = {
        "r2": 0.2884, "shrinkage": 623, "optimism": 662, "overall_risk": 1234, "prevalence": 0.174, "parameters": 24,
    }  # fmt: skip
    assert (code, json.loads(shown)) == (0, {"people": 1234, "events": 215, "criteria": criteria})
