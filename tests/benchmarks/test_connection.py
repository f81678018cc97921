"""Cutting answers out of a byte stream, however it arrives."""

import pytest

from benchmarks.connection import AnswerReader, BrokenAnswer, ChangingRequest, request_bytes

ANSWER = b'HTTP/1.1 200 OK\r\ndate: today\r\nContent-Length: 12\r\n\r\n{"cards":[]}'


@pytest.mark.parametrize("step", [1, 2, 7, len(ANSWER)])
def test_an_answer_is_whole_when_its_last_byte_is_there_and_not_before(step: int) -> None:
    reader = AnswerReader()
    pieces = [ANSWER[at : at + step] for at in range(0, len(ANSWER), step)]
    assert all(reader.feed(piece) is None for piece in pieces[:-1])
    assert reader.feed(pieces[-1]) == (200, b'{"cards":[]}')


def test_answers_follow_one_another_on_one_connection() -> None:
    reader = AnswerReader()
    failed = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    assert [reader.feed(ANSWER), reader.feed(failed), reader.feed(ANSWER)] == [
        (200, b'{"cards":[]}'),
        (503, b""),
        (200, b'{"cards":[]}'),
    ]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0\r\nContent-Length: 0\r\n\r\n"])
def test_an_answer_without_a_length_or_not_of_http_is_refused(answer: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        AnswerReader().feed(answer)


def test_a_request_says_how_long_its_body_is() -> None:
    request = request_bytes("/cds-services/x", "{“}".encode())
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /cds-services/x HTTP/1.1\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_each_call_is_at_another_time_and_as_long_as_the_first() -> None:
    request = ChangingRequest(b'{"effectiveDateTime":"2026-11-20T08:41:00-05:00","birthDate":"1962-08-13"}')
    sent = {bytes(request.next()) for _ in range(600)}
    assert len(sent) == 600
    assert {len(each) for each in sent} == {len(request.next())}
    assert b'{"effectiveDateTime":"2026-11-20T08:42:05-05:00","birthDate":"1962-08-13"}' in sent


def test_a_chart_that_comes_again_is_the_same_to_the_byte_until_the_next_patient() -> None:
    request = ChangingRequest(b'{"id":"p--0000000","effectiveDateTime":"2026-11-20T08:41:00Z"}', times=3)
    sent = [request.next() for _ in range(9)]
    assert sent == [sent[0]] * 3 + [sent[3]] * 3 + [sent[6]] * 3
    assert len(set(sent)) == 3
