"""CSV files of outcomes, and the sentence for what is none."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds_hooks.evidence.outcomes.files import WrongFile, read_file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prediction,result\nx,yes\n", "line 1: it has the unknown column result"),
        ("prediction,outcome\nx\n", "line 2: the number of columns differs"),
        ("prediction,outcome\nx,perhaps\n", "outcome has a value that it cannot have"),
        ("prediction,outcome,at\nx,yes,soon\n", "line 2: `at` must be a day"),
        ("", "line 1: it has no columns"),
        ("prediction,outcome,outcome\nx,yes,no\n", "line 1: two columns have the same name"),
        ("prediction,outcome\n", "holds no outcome"),
        ("patient,event,at\nPeter,death,2026-03\n", "`at` must be a day"),
        ('prediction,outcome\n"x"y,yes\n', "o.csv cannot be read as CSV: ',' expected after '\"'"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "o.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WrongFile, match=words) as refused:
        read_file(path)
    assert "Peter" not in str(refused.value).removeprefix(str(tmp_path))


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_whatever_bytes_come_the_answer_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o.csv").write_bytes(content)
    with pytest.raises(WrongFile):
        read_file(tmp_path / "o.csv")
