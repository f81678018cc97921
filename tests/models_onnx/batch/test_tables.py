"""Tables as files: what changes no score, what is counted, and what is refused with a sentence that shows nobody."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from models_onnx.batch import BatchModel, load
from models_onnx.batch.run import ScoringJob, ScoringResult, score_table
from models_onnx.errors import BatchRefused
from tests.models_onnx.batch.frames import typical

BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def panel() -> BatchModel:
    """The committed model with its twin."""
    return load("mortality_5y")


def people(count: int = 3, **other: Any) -> list[dict[str, Any]]:
    """So many typical people with ids of their own, some columns changed."""
    return [{"id": f"p{number}", **typical(), **other} for number in range(count)]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """The rows under a header."""
    lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def scored(panel: BatchModel, folder: Path, name: str, content: bytes, **other: Any) -> tuple[ScoringResult, str]:
    """What the table of this content gives, and the scores as they were written."""
    (folder / name).write_bytes(content)
    result = score_table(ScoringJob(panel, folder / name, folder / "scores.csv", **other))
    return result, (folder / "scores.csv").read_text()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", lambda: BOM + as_csv(people())),
        ("a.csv", lambda: gzip.compress(as_csv(people()))),
        ("a.csv.gz", lambda: as_csv(people())),
        ("a.csv", lambda: as_csv(people()).replace(b"\n", b"\r\n\r\n")),
    ],
)
def test_marks_line_ends_and_packing_change_no_score(
    panel: BatchModel, tmp_path: Path, name: str, write: Callable[[], bytes]
) -> None:
    _, plain = scored(panel, tmp_path, "plain.csv", as_csv(people()))
    assert plain.count('"mortality_5y"') == 3
    assert scored(panel, tmp_path, name, write())[1] == plain


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", as_csv(people()).decode().encode("utf-16"), "save it as CSV in UTF-8"),
        ("a.csv", as_csv(people(300)) + "Zoë".encode("latin1") + b"," * 17 + b"\n", "line 302: cannot be read"),
        ("a.csv", as_csv(people()).replace(b"\np0,", b'\n"p0,'), "line 2: cannot be read"),
        ("a.csv", as_csv(people()) + b"p9,1\n", "line 5: cannot be read"),
        ("a.csv", as_csv(people()).replace(b",", b";"), "separate its columns by commas"),
        ("a.csv", b"", "has no header"),
        ("a.csv", as_csv(people()).partition(b"\n")[0] + b"\n", "has no rows"),
        ("a.csv", as_csv(people()).replace(b"bun_mg_dl", b"age_years", 1), "two columns called 'age_years'"),
        ("a.csv.gz", gzip.compress(as_csv(people(3000)))[:-100], "cannot be read"),
        ("a.csv", as_csv(people(deceased="2020-02-03")), "holds dates.*write 1 where there is a date"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.txt", b"id", "must end in one of .csv"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(
    panel: BatchModel, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(BatchRefused, match=said) as refused:
        scored(panel, tmp_path, name, content)
    assert "p0" not in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing half written is left"


def mixed() -> list[dict[str, Any]]:
    """Seven rows: three of the model, one of the twin, three without a score, one with a value that is no number."""
    rows = people(7, pregnant="0")
    rows[1] |= {"albumin_g_dl": None, "alp_u_l": None, "rdw_pct": None, "glucose_mg_dl": None}
    rows[2] |= {"age_years": 20, "id": "p0"}
    rows[3] |= {"pregnant": "1", "id": ""}
    rows[4] |= {"age_years": None}
    rows[5] |= {"rdw_pct": "<12", "id": "p0"}
    return rows


def test_parquet_has_the_scores_of_csv_bit_by_bit(panel: BatchModel, tmp_path: Path) -> None:
    _, text = scored(panel, tmp_path, "rows.csv", as_csv(mixed()), explain=True)
    score_table(ScoringJob(panel, tmp_path / "rows.csv", tmp_path / "s.parquet", explain=True))
    rows = pyarrow.parquet.read_table(tmp_path / "s.parquet").to_pylist()
    for row, line in zip(rows, csv.DictReader(text.splitlines()), strict=True):
        assert {name: "" if value is None else value for name, value in row.items()} == {
            name: float(line[name]) if isinstance(row[name], float) else line[name] for name in row
        }


@pytest.mark.parametrize(
    ("content", "named", "sentence"),
    [
        (b"name,age\na,1\n", "id", "no column 'id': name the one that names a row with --id; it has: age, name"),
        (b"name,age\na,1\n", "mrn", "has no column 'mrn': name the one"),
    ],
)
def test_a_table_without_the_column_of_ids_is_refused(
    panel: BatchModel, tmp_path: Path, content: bytes, named: str, sentence: str
) -> None:
    with pytest.raises(BatchRefused, match=sentence):
        scored(panel, tmp_path, "a.csv", content, id_column=named)


@pytest.mark.slow
def test_several_processes_give_the_same_file(
    panel: BatchModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alone = scored(panel, tmp_path, "rows.csv", as_csv(mixed()))
    assert scored(panel, tmp_path, "rows.csv", as_csv(mixed()), workers=2)[1] == alone
