"""Scales, numbers, forms and files of the pages at their borders, as literals."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cds_hooks.errors import BadRequest
from cds_hooks.web import forms, numbers
from cds_hooks.web.charts import HAPPENED, PEOPLE, Scale, Tick, round_scale
from cds_hooks.web.files import csv_download
from cds_hooks.web.markdown import render_markdown


def test_scales_and_their_ticks() -> None:
    assert [Tick(at, "").anchor for at in (0, 2.9, 3, 50, 97, 97.1, 100)] == [
        "start",
        "start",
        "middle",
        "middle",
        "middle",
        "end",
        "end",
    ]
    scale = Scale(10, 20)
    assert [scale.at(value) for value in (9, 10, 12.345678, 20, 21)] == [0.0, 0.0, 23.46, 100.0, 100.0]
    assert [HAPPENED.at(value) for value in (0.1, 0.5, 0.7071, 1, 2, 3)] == [0.0, 0.0, 25.0, 50.0, 100.0, 100.0]
    assert [(tick.at, tick.label) for tick in HAPPENED.ticks] == [
        (0.0, "50"),
        (24.27, "70"),
        (50.0, "100"),
        (74.27, "140"),
        (100.0, "200"),
    ]
    assert [(tick.at, tick.label) for tick in PEOPLE.ticks] == [
        (0.0, "0"),
        (20.0, "20"),
        (40.0, "40"),
        (60.0, "60"),
        (80.0, "80"),
        (100.0, "100"),
    ]


@pytest.mark.parametrize("most", [0.0, 0.01, 0.04, 0.05, 0.4, 0.41, 1.0, 4.0, 4.1, 8.0, 8.1, 20.0, 20.1, 1234.0, 1e9])
def test_a_round_scale(most: float) -> None:
    with_unit = most < 1000
    scale = round_scale(most, " ms" if with_unit else "")
    assert (scale.low, scale.high, [tick.label for tick in scale.ticks]) == SCALES[most]


SCALES: dict[float, Any] = {
    0.0: (0, 0.01, ["0", "0.01 ms"]),
    0.01: (0, 0.01, ["0", "0.01 ms"]),
    0.04: (0, 0.04, ["0", "0.01", "0.02", "0.03", "0.04 ms"]),
    0.05: (0, 0.06, ["0", "0.02", "0.04", "0.06 ms"]),
    0.4: (0, 0.4, ["0", "0.1", "0.2", "0.3", "0.4 ms"]),
    0.41: (0, 0.6000000000000001, ["0", "0.2", "0.4", "0.6 ms"]),
    1.0: (0, 1.0, ["0", "0.5", "1 ms"]),
    4.0: (0, 4.0, ["0", "1", "2", "3", "4 ms"]),
    4.1: (0, 6.0, ["0", "2", "4", "6 ms"]),
    8.0: (0, 8.0, ["0", "2", "4", "6", "8 ms"]),
    8.1: (0, 10.0, ["0", "5", "10 ms"]),
    20.0: (0, 20.0, ["0", "5", "10", "15", "20 ms"]),
    20.1: (0, 30.0, ["0", "10", "20", "30 ms"]),
    1234.0: (0, 1500.0, ["0", "500", "1,000", "1,500"]),
    1000000000.0: (0, 1000000000.0, ["0", "500,000,000", "1,000,000,000"]),
}


def test_numbers_as_they_are_printed() -> None:
    values = (0.0, -0.001, 0.005, 9.994, 9.996, 9.999, 10.0, 99.94, 99.96, 100.0, 999.5, 1000.4, -12.34, -1234.0)
    assert [numbers.format_value(value) for value in values] == [
        "0",
        "0",
        "0.01",
        "9.99",
        "10",
        "10",
        "10",
        "99.9",
        "100",
        "100",
        "1,000",
        "1,000",
        "−12.3",
        "−1,234",
    ]
    units = ("a", "1", "10*9/L", "m2", "ug/mL", "cup", "mm[Hg]", "mL/min/{1.73_m2}", "uU/mL")
    assert [numbers.format_unit(unit) for unit in units] == [
        "years",
        "",
        "10⁹/L",
        "m²",
        "µg/mL",
        "cup",
        "mmHg",
        "mL/min/1.73 m²",
        "µU/mL",
    ]
    assert [numbers.format_quantity(5.0, unit) for unit in ("1", "10*9/L", "%")] == ["5", "5 × 10⁹/L", "5 %"]
    assert [numbers.signed(value) for value in (0.0004, -0.0004, 0.0005, -2.0)] == [
        "0.000",
        "0.000",
        "+0.001",
        "−2.000",
    ]
    assert numbers.signed(1.26, 1) == "+1.3"
    assert [numbers.people_range(0.10, high) for high in (0.104, 0.11)] == ["10", "10 to 11"]
    assert [round(numbers.logit(value), 6) for value in (0.0, 1.0, 0.5, 0.2)] == [-27.631021, 27.631043, 0.0, -1.386294]
    assert [round(numbers.logistic(value), 6) for value in (0.0, 2.0, -2.0)] == [0.5, 0.880797, 0.119203]
    assert [numbers.date_of(text) for text in ("2026-11-20T09:00:00Z", "2026-11", "2026")] == [
        "2026-11-20",
        "2026-11",
        "2026",
    ]


def test_times_and_ages() -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    ages = [
        numbers.format_age(f"{now - timedelta(days=days):%Y-%m-%d}", now) for days in (0, 1, 2, 59, 60, 75, 365, 730)
    ]
    assert ages == [
        "today",
        "1 day old",
        "2 days old",
        "59 days old",
        "2 months old",
        "2 months old",
        "12 months old",
        "24 months old",
    ]
    assert [numbers.format_age(text, now) for text in ("", "soon", "2026-11-20T11:00:00Z")] == ["", "", "today"]
    assert numbers.format_time(datetime(2026, 11, 20, 1, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-19 23:00 UTC"
    assert numbers.time_of(1_500_000) == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert numbers.format_seconds(0) == "1970-01-01 00:00:00 UTC"


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://x", "host": "x"}, False),
        ({"origin": "http://x:1", "host": "x:1"}, True),
        ({"origin": "http://y", "host": "x"}, False),
        ({"origin": "http://["}, False),
        ({"origin": "null", "host": "x"}, False),
    ],
)
def test_where_a_form_comes_from(headers: dict[str, str], is_ours: bool) -> None:
    assert forms.came_from_this_site(headers) is is_ours


def test_fields_of_a_form() -> None:
    assert forms._parse_fields(b"a=1&b=&a=2&c=%C3%A4") == {"a": "2", "b": "", "c": "ä"}
    assert len(forms._parse_fields("&".join(f"f{number}=1" for number in range(100)).encode())) == 100
    for body in (b"a=%FF", "&".join(f"f{number}=1" for number in range(101)).encode(), b"\xff"):
        with pytest.raises(BadRequest, match="The form cannot be read"):
            forms._parse_fields(body)
    assert forms._text("\ufeffä".encode()) == "ä"
    with pytest.raises(BadRequest, match="compressed"):
        forms._text(b"\x1f\x8bx")
    with pytest.raises(BadRequest, match="not UTF-8"):
        forms._text(b"\xff")


def _upload(parts: int, end: bytes = b"--\r\n") -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n'
    return part * parts + b"--b" + end


def test_an_upload_of_many_parts() -> None:
    kind = "multipart/form-data; boundary=b"
    assert forms._parse_upload(kind, _upload(1)) == {"f": "x"}
    assert forms._parse_upload(kind, _upload(98)) == {"f": "x"}
    for body in (_upload(99), _upload(0), _upload(1, b"\r\n"), b""):
        with pytest.raises(BadRequest, match="did not arrive whole"):
            forms._parse_upload(kind, body)


def test_cells_that_a_spreadsheet_would_calculate_are_text() -> None:
    response = csv_download("counts", [["a", "=1+1", "+x", "-x", "@x", "\tx", "1-2"], [1.5, "", "é"]])
    assert bytes(response.body).decode() == "a,'=1+1,'+x,'-x,'@x,'\tx,1-2\r\n1.5,,é\r\n"
    assert response.headers["content-disposition"] == 'attachment; filename="counts.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8"


class _Request:
    """A request whose body comes in these parts."""

    def __init__(self, content_type: str, *parts: bytes) -> None:
        self.headers, self._parts = {"content-type": content_type}, parts

    async def stream(self) -> Any:
        for part in self._parts:
            yield part


def _form(content_type: str, *parts: bytes, most: int = 10) -> Any:
    request: Any = _Request(content_type, *parts)
    try:
        return asyncio.run(forms.read_form(request, 5.0, most, of_session=False))
    except Exception as refused:
        return f"{type(refused).__name__}: {refused}"


def test_a_posted_form_is_read_within_its_bound() -> None:
    kind = "application/x-www-form-urlencoded"
    assert _form(kind, b"a=12345", b"678") == {"a": "12345678"}
    assert _form(f"{kind.upper()} ; charset=utf-8", b"a=1") == {"a": "1"}
    assert _form(kind, b"a=12345", b"6789") == "BodyTooLarge: The form is larger than the 10 bytes that are read here."
    assert _form("text/plain", b"a=1") == (
        "BadRequest: A form of this page is sent as application/x-www-form-urlencoded; open "
        "the page again and use its buttons."
    )
    assert _form("", b"a=1") == (
        "BadRequest: A form of this page is sent as application/x-www-form-urlencoded; open "
        "the page again and use its buttons."
    )
    assert _form(kind, b"a=%00") == "BadRequest: A field of the form holds the character U+0000; leave it out."


def test_a_line_of_a_card_is_a_line_of_the_page() -> None:
    assert render_markdown("a\nb\x00") == "<p>a<br />\nb</p>"
