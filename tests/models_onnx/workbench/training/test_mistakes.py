"""Mistakes of whoever adds a model: each is one sentence that says what, where and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from cds_hooks.cli import app as program
from cds_hooks.commands.model.main import app
from tests.models_onnx.workbench.training.template import write_template
from tests.models_onnx.workbench.training.test_template import complete, toy_table


def train(folder: Path, table: pd.DataFrame, changed: dict[str, str] | None = None) -> Any:
    """The command on this table, with the declaration of the template changed."""
    write_template("toy_30d", folder)
    complete(folder / "toy_30d.card.json")
    path = folder / "toy_30d.py"
    text = path.read_text()
    for old, new in (changed or {}).items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    table.to_csv(folder / "toy_30d.csv", index=False)
    options = ["--specs", folder, "--data", folder, "--out", folder / "trained", "--replicates", "0"]
    return CliRunner().invoke(app, ["train", "toy_30d", *map(str, options)])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("age_low=18", "age_low=200", "age_low is 200; nobody would be scored"),
        ("capacity=0.10", "capacity=0", "a capacity of 0 is no share of the people between 0 and 1"),
        ("(0.05, 0.10, 0.20)", "(0.10, 10)", "a capacity of 10 is no share"),
        ("horizon_days=30", "horizon_days=-30", "the horizon is -30 days; it must be more than 0"),
        ('table["sex"]}', 'table["gender"]}', "the subgroup 'sex' reads the column 'gender', which toy_30d"),
        ('table["age_years"] < 18', 'table["age"] < 18', "the exclusion 'under-18' reads the column 'age'"),
        ('table["age_years"] < 18', 'table["age_years"] < 180', "no row that the exclusions leave"),
        (
            'table["age_years"] < 18',
            'table["sex"] < 18',
            "the function of the exclusion 'under-18' ended with TypeError (",
        ),
        ('{"male": 1.0', '{"man": 1.0', "its values"),
    ],
)
def test_a_wrong_declaration_is_a_sentence(old: str, new: str, said: str, tmp_path: Path) -> None:
    if said == "its values":
        table, said = (
            toy_table().assign(sex="F"),
            "no row has a number for sex_male, all are blank; leave it out of the inputs",
        )
    else:
        table = toy_table()
    told = train(tmp_path, table, {old: new})
    assert told.exit_code == 2, told.output
    assert said in told.output


@pytest.mark.parametrize(
    ("outcome", "said", "kind"),
    [
        (lambda table: table["event"].map({1: "yes", 0: "no"}), "holds texts: it must be 0 or 1", "not-trainable"),
        (lambda table: table["event"].where(table.index % 9 > 0), "must be 0 or 1 in each row", "not-trainable"),
        (lambda table: 0 * table["event"], "the outcome event is 0 in all", "few-events"),
    ],
)
def test_an_outcome_that_cannot_be_learned_is_a_sentence_and_an_error_of_the_check(
    outcome: Callable[[pd.DataFrame], pd.Series], said: str, kind: str, tmp_path: Path
) -> None:
    table = toy_table()
    told = train(tmp_path, table.assign(event=outcome(table)))
    assert told.exit_code == 2, told.output
    assert said in " ".join(told.output.split())
    checked = CliRunner().invoke(program, ["data", str(tmp_path / "toy_30d.csv"), "--specs", str(tmp_path), "--json"])
    assert (checked.exit_code, f'"{kind}"' in checked.output) == (1, True), checked.output


def test_a_table_in_another_form_is_told_how_to_be_saved(tmp_path: Path) -> None:
    table = toy_table()
    train(tmp_path, table)
    file = tmp_path / "toy_30d.csv"
    options = ["train", "toy_30d", "--specs", str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "x")]
    for content, said in (
        (table.to_csv(index=False, sep=";", decimal=",").encode(), "its columns are separated by ';'"),
        (table.assign(place="Zürich").to_csv(index=False).encode("latin1"), "is not in UTF-8: save it as CSV in UTF-8"),
    ):
        file.write_bytes(content)
        told = CliRunner().invoke(app, options)
        assert (told.exit_code, said in " ".join(told.output.split())) == (2, True), told.output


def test_a_column_in_another_unit_is_refused_with_what_to_do(tmp_path: Path) -> None:
    table = toy_table()
    table["creatinine_mg_dl"] *= 88.42
    told = train(tmp_path, table)
    assert told.exit_code == 2
    assert "Have derived['creatinine_mg_dl'] give its values in mg/dL, or convert the column" in told.output
    checked = CliRunner().invoke(program, ["data", str(tmp_path / "toy_30d.csv"), "--specs", str(tmp_path), "--json"])
    assert checked.exit_code == 1
    assert '"not-trainable"' in checked.output


def test_a_derived_input_in_another_unit_or_of_no_column_is_told_in_the_words_of_the_declaration(
    tmp_path: Path,
) -> None:
    table = toy_table().rename(columns={"creatinine_mg_dl": "Crea"})
    table["Crea"] *= 88.4
    derived = '"creatinine_mg_dl": lambda table: table["Crea"], "sex_male":'
    told = train(tmp_path, table, {'"sex_male":': derived})
    assert told.exit_code == 2
    assert "Have derived['creatinine_mg_dl'] give its values in mg/dL" in told.output
    (tmp_path / "other").mkdir()
    told = train(tmp_path / "other", table, {'"sex_male":': derived.replace("Crea", "Creatinine")})
    assert told.exit_code == 2
    assert "creatinine_mg_dl is read from the column 'Creatinine', which toy_30d.csv does not have" in told.output


def test_a_model_of_ones_own_has_its_figures_on_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_MODEL_SIGNING_KEY", str(tmp_path / "key.pem"))
    assert train(tmp_path, toy_table()).exit_code == 0
    run, trained = CliRunner(), str(tmp_path / "trained")
    toy_table(400).drop(columns="fold").to_csv(tmp_path / "others.csv", index=False)
    options = ["--rows", str(tmp_path / "others.csv"), "--folder", trained, "--specs", str(tmp_path)]
    told = run.invoke(app, ["evaluate", "toy_30d", *options, "--replicates", "0"])
    assert told.exit_code == 0, told.output
