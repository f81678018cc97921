"""A request of the load generator: its head, and what changes from call to call."""

from benchmarks.connection import ChangingRequest, request_bytes


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
