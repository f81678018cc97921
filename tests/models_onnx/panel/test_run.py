"""A whole run over a table: what it counts, where it goes on, how parts are handed on, and what it refuses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models_onnx.errors import PanelRefused
from models_onnx.panel import PanelModel, TableDeclaration, load, tables
from models_onnx.panel import run as running
from models_onnx.panel.run import ScoringJob, ScoringResult, score_table
from tests.models_onnx.panel.test_tables import as_csv, as_ndjson, people


@pytest.fixture(scope="module")
def panel() -> PanelModel:
    """The committed model with its twin."""
    return load("mortality_5y")


def mixed() -> list[dict[str, Any]]:
    """Seven rows: two of the model, one of the twin, three without a score, and one with a value that is no number."""
    rows = people(7, pregnant="0")
    rows[1] |= {"albumin_g_dl": None, "alp_u_l": None, "rdw_pct": None, "glucose_mg_dl": None}
    rows[2] |= {"age_years": 20, "id": "p0"}
    rows[3] |= {"pregnant": "1", "id": ""}
    rows[4] |= {"age_years": None}
    rows[5] |= {"rdw_pct": "<12", "id": "p0"}
    return rows


def job(panel: PanelModel, folder: Path, rows: list[dict[str, Any]] | bytes, **more: Any) -> ScoringJob:
    """A job that scores these rows to scores.csv."""
    table = folder / "rows.csv"
    table.write_bytes(rows if isinstance(rows, bytes) else as_csv(rows))
    return ScoringJob(panel, table, folder / "scores.csv", **more)


def test_a_run_counts_its_rows_by_what_became_of_them(panel: PanelModel, tmp_path: Path) -> None:
    told: list[int] = []
    result = score_table(job(panel, tmp_path, mixed()), told.append)
    assert result == ScoringResult(
        rows=7,
        resumed_at=0,
        scored={"mortality_5y": 3, "mortality_5y_small": 1},
        not_scored={"age-unknown": 1, "outside-population": 2},
        not_used=1,
        unsaid=("deceased",),
        repeated=2,
        unnamed=1,
        untold_units=result.untold_units,
    )
    assert told == [7]
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0] == "id,probability,percentile,model,reason,reason_text,not_used"
    assert [line.split(",")[0] for line in lines[1:]] == ["p0", "p1", "p0", "", "p4", "p0", "p6"]
    assert [line.rsplit(",", 1)[1] for line in lines[1:]] == ["", "", "", "", "", "rdw_pct", ""]


def test_columns_that_explain_a_score_stand_behind_it_where_they_are_asked_for(
    panel: PanelModel, tmp_path: Path
) -> None:
    score_table(job(panel, tmp_path, people(1), explain=True))
    header, line = (text.split(",") for text in (tmp_path / "scores.csv").read_text().splitlines())
    assert header[7:] == ["base", *(f"contribution_{name}" for name in panel.features)]
    assert (line[7], len(line)) == ("-3.1452747", 8 + 16)
    assert ScoringJob(panel, tmp_path / "a", tmp_path / "b").explained == ()


def interrupted(progress_at: int) -> Any:
    """Ends the run after so many rows, as an interrupt does."""

    def progress(rows: int) -> None:
        if rows >= progress_at:
            raise KeyboardInterrupt

    return progress


def test_a_run_goes_on_behind_the_rows_that_are_written(
    panel: PanelModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score_table(job(panel, tmp_path, mixed()))
    expected = (tmp_path / "scores.csv").read_text()
    monkeypatch.setattr(tables, "AT_ONCE", 3)
    with pytest.raises(KeyboardInterrupt):
        score_table(job(panel, tmp_path, (tmp_path / "rows.csv").read_bytes(), restart=True), interrupted(3))
    table = ScoringJob(panel, tmp_path / "rows.csv", tmp_path / "scores.csv")
    told: list[int] = []
    # Rows are cut otherwise now: the part in which the written ones end is scored from the first new row on.
    monkeypatch.setattr(tables, "AT_ONCE", 2)
    again = score_table(table, told.append)
    assert (again.resumed_at, told) == (3, [4, 6, 7])
    assert (tmp_path / "scores.csv").read_text() == expected
    assert again == ScoringResult(
        7, 3, whole.scored, whole.not_scored, whole.not_used, whole.unsaid, whole.repeated, whole.unnamed,
        again.untold_units,
    )  # fmt: skip


def test_rows_of_fhir_say_whom_they_are_about(panel: PanelModel, tmp_path: Path) -> None:
    one = job(panel, tmp_path, people(2))
    out = tmp_path / "scores.ndjson"
    score_table(ScoringJob(panel, one.rows, out, moment="2026-11-20T09:00:00+00:00"))
    assert out.read_bytes().count(b'"occurrenceDateTime":"2026-11-20T09:00:00+00:00"') == 2
    assert out.read_bytes().startswith(b'{"resourceType":"RiskAssessment"')
    job(panel, tmp_path, [*people(2), people(1)[0] | {"id": " "}])
    with pytest.raises(PanelRefused, match=r"^Row 3 has no id, "):
        score_table(ScoringJob(panel, one.rows, out, restart=True))


@pytest.mark.parametrize(
    ("content", "named", "sentence"),
    [
        (b"name,age\na,1\n", None, "rows.csv has no column 'id', and no other one is named: say by --id which column "
         "names a row. It has: name, age."),
        (b"name,age\na,1\n", "mrn", "rows.csv has no column 'mrn': say by --id which column names a row. It has: name, "
         "age."),
        (b"name,1.5\na,1\n", None, "rows.csv has no column 'id', and its first line seems to hold values: it has to "
         "hold the names of the columns."),
        (b"name,nan\na,1\n", "id", "rows.csv has no column 'id', and its first line seems to hold values: it has to "
         "hold the names of the columns."),
    ],
)  # fmt: skip
def test_a_table_without_the_column_of_ids_is_refused(
    panel: PanelModel, tmp_path: Path, content: bytes, named: str | None, sentence: str
) -> None:
    with pytest.raises(PanelRefused) as refused:
        score_table(job(panel, tmp_path, content, id_column=named))
    assert str(refused.value).removeprefix(f"{tmp_path}/") == sentence


def test_ids_are_those_of_the_column_that_is_named(panel: PanelModel, tmp_path: Path) -> None:
    score_table(job(panel, tmp_path, [row | {"mrn": f"m{row['id']}"} for row in people(2)], id_column="mrn"))
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["id", "mp0", "mp1"]


def test_an_output_that_was_begun_of_something_else_is_not_gone_on_with(
    panel: PanelModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "AT_ONCE", 1)
    begun = job(panel, tmp_path, people(3))
    with pytest.raises(KeyboardInterrupt):
        score_table(begun, interrupted(1))
    others = [
        ScoringJob(panel, begun.rows, begun.out, explain=True),
        ScoringJob(panel, begun.rows, begun.out, declared=TableDeclaration(exclude=("pregnant",))),
        ScoringJob(PanelModel(panel.model, None), begun.rows, begun.out),
        ScoringJob(panel, begun.rows, begun.out, id_column="sex"),
    ]
    for other in others:
        with pytest.raises(PanelRefused, match="was begun with other rows, another model or another declaration"):
            score_table(other)
    assert score_table(begun).resumed_at == 1
    with pytest.raises(KeyboardInterrupt):
        score_table(begun, interrupted(1))
    begun.rows.write_bytes(as_csv(people(4)))
    with pytest.raises(PanelRefused, match="was begun with other rows"):
        score_table(begun)
    assert score_table(ScoringJob(panel, begun.rows, begun.out, restart=True)).rows == 4


def test_the_table_itself_is_no_output(panel: PanelModel, tmp_path: Path) -> None:
    one = job(panel, tmp_path, people(1))
    (tmp_path / "link.csv").symlink_to(one.rows)
    for out in (one.rows, tmp_path / "link.csv"):
        with pytest.raises(PanelRefused) as refused:
            score_table(ScoringJob(panel, one.rows, out))
        assert str(refused.value) == f"{out} is the table itself; write the scores to another file."


def test_columns_whose_unit_is_open_are_told_from_the_first_part(
    panel: PanelModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "AT_ONCE", 1)
    rows = [people(1)[0], people(1)[0] | {"bun_mg_dl": ""}]
    found = score_table(job(panel, tmp_path, rows)).untold_units
    assert "mmol/L" in found["bun_mg_dl"]
    assert "age_years" not in found
    assert all(found.values())


def test_several_processes_are_asked_for_twice_as_many_parts(
    panel: PanelModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work itself is done here: what is asked of the processes is what one process does."""
    asked: list[Any] = []

    class Pool:
        """A pool of this process."""

        def __init__(self, workers: int, context: Any, begin: Any, arguments: Any) -> None:
            asked.append((workers, context.get_start_method()))
            begin(*arguments)

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing is open."""

    def in_order(pool: Any, function: Any, parts: Iterator[Any], most: int) -> Iterator[Any]:
        asked.append(most)
        return map(function, parts)

    score_table(job(panel, tmp_path, mixed()))
    expected = (tmp_path / "scores.csv").read_bytes()
    monkeypatch.setattr(running, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(running, "results_in_order", in_order)
    score_table(job(panel, tmp_path, mixed(), workers=3))
    assert (tmp_path / "scores.csv").read_bytes() == expected
    assert asked == [(3, "spawn"), 6]


def test_a_table_of_json_lines_has_the_same_scores(panel: PanelModel, tmp_path: Path) -> None:
    score_table(job(panel, tmp_path, people(2)))
    expected = (tmp_path / "scores.csv").read_bytes()
    (tmp_path / "rows.txt").write_bytes(as_ndjson(people(2)))
    score_table(ScoringJob(panel, tmp_path / "rows.txt", tmp_path / "scores.csv", form="ndjson"))
    assert (tmp_path / "scores.csv").read_bytes() == expected
