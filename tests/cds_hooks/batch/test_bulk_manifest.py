"""What a bulk export answers: which files are whole, which lines are errors, and what is said of a status."""

from pathlib import Path

import pytest

from cds_hooks.batch.bulk_manifest import EXPIRED, OF_FILE, OF_KICK_OFF, errors_in, is_whole

LINES = b'{"resourceType":"Patient","id":"1"}\n\n{"resourceType":"Patient","id":"2"}\n'


@pytest.mark.parametrize(
    ("content", "count", "whole"),
    [
        (LINES, 2, True),
        (LINES, None, True),
        (LINES, 1, False),
        (LINES, 3, False),
        (LINES[:-3], 2, False),
        (b"\xef\xbb\xbf " + LINES, 2, True),
        (b"", 0, True),
        (b"", 1, False),
        (b"", None, True),
    ],
)
def test_a_file_is_whole_with_its_last_line_and_as_many_as_the_server_says(
    content: bytes, count: int | None, whole: bool, tmp_path: Path
) -> None:
    part = tmp_path / "Patient.ndjson.part"
    part.write_bytes(content)
    assert is_whole(part, count) is whole


def test_errors_are_counted_and_what_is_merely_said_is_not(tmp_path: Path) -> None:
    path = tmp_path / "errors.ndjson.txt"
    severities = [["fatal"], ["error"], ["warning"], ["information", "error"], []]
    lines = [
        '{"resourceType":"OperationOutcome","issue":['
        + ",".join(f'{{"severity":"{severity}"}}' for severity in issues)
        + "]}"
        for issues in severities
    ]
    path.write_text("\n".join([*lines, "", "no JSON", '{"issue":[{}]}', '{"resourceType":"OperationOutcome"}']) + "\n")
    assert errors_in(path) == 6, "three with an error, and three lines that cannot be read as outcomes"


def test_each_status_of_the_question_and_of_a_file_says_what_to_do() -> None:
    assert {status: text.partition(":")[0] for status, text in OF_KICK_OFF.items()} == {
        400: "The server does not take the question",
        401: "The server asks for a token",
        403: "This client may not export",
        404: "The server offers no such export, or has no such Group",
    }
    assert set(OF_FILE) == set(EXPIRED) == {401, 403, 404, 410}
    assert set(OF_FILE.values()) == {
        "A fresh list of files did not help. What is here stays: type the command again later."
    }
