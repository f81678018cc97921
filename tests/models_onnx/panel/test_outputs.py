"""The lines of an output are CSV as RFC 4180 has it, whatever the texts in it."""

import csv
import io

import pytest

from models_onnx.panel.outputs import write_fields

TEXTS = ("plain", "a,b", 'says "no"', "two\nlines", "back\rto the start", "\r\n", " spaced ", "", "ø€", "'single'")


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_is_read_back_as_it_was(text: str) -> None:
    rows = [[text, 1.5, None, 7], ["p2", 0.1 + 0.2, text, True]]
    read = list(csv.reader(io.StringIO(write_fields(rows).decode(), newline="")))
    assert read == [["" if each is None else str(each) for each in row] for row in rows]


def test_only_what_needs_quotes_has_them_and_lines_end_alike() -> None:
    assert write_fields([["a", None, 2.0], ["b,c", "", 'd"e']]) == b'a,,2.0\n"b,c",,"d""e"\n'
    assert write_fields([["a\rb", 1]]) == b'"a\rb",1\n'


def test_one_empty_column_is_an_empty_line_and_no_rows_are_no_lines() -> None:
    assert write_fields([[None], ["a"]]) == b"\na\n"
    assert write_fields([]) == b""
