"""What is read of a token and of an address before anybody is trusted: each check on and beside its limit."""

from ipaddress import ip_network

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.call.security.addresses import AddressRule, BadUrl, Url, is_below, overlaps_never, parse_url
from tests.each import for_rows

# Addresses


@for_rows(
    ("text", "url"),
    [
        ("https://A.example", Url("https", "a.example", 443, "/")),
        ("http://a.example:8080/fhir/R4?x=1", Url("http", "a.example", 8080, "/fhir/R4", "x=1")),
        ("HTTPS://[0:0::1]:443/a/", Url("https", "::1", 443, "/a/")),
        ("http://h:80?x", Url("http", "h", 80, "/", "x")),
        ("https://h/r4/a%20b,c?_page=2|1", Url("https", "h", 443, "/r4/a%20b,c", "_page=2|1")),
        ("https://127.0.0.1:65535", Url("https", "127.0.0.1", 65535, "/")),
        ("https://a.example:65536", "its port is larger than 65535"),
        ("https://user@a.example", "its host or port has characters that are not allowed (no user name, no escapes)"),
        ("ftp://a.example", "it is not an absolute http or https address without fragment"),
        ("https://a.example/x#y", "it is not an absolute http or https address without fragment"),
        ("https://a.example//x", "its path has an empty segment"),
        ("https://a.example/../x", "its path has dot segments"),
        ("https://a.example/..;x/y", "its path has dot segments"),
        ("https://a.example/%2e", "its path has escaped dots, slashes, percent signs or control characters"),
        ("https://a.example/%20", Url("https", "a.example", 443, "/%20")),
        ('https://a.example/"x', "its path has characters that have to be escaped"),
        ('https://a.example/x?"', "its query has characters that have to be escaped"),
        ("https://0x7f.1", "its host is a number that is not an address in its usual form"),
        ("https://127.1", "its host is a number that is not an address in its usual form"),
        ("https://a.example.", "its host is not a name in its usual form (a dot at the end is not)"),
    ],
)
def test_an_address_has_one_meaning_or_is_refused(text: str, url: Url | str) -> None:
    if isinstance(url, Url):
        assert parse_url(text) == url
        return
    with pytest.raises(BadUrl) as refused:
        parse_url(text)
    assert str(refused.value) == url


def test_a_registered_network_is_reached_and_what_no_client_is_given_is_not() -> None:
    rule = AddressRule((ip_network("10.0.0.0/8"), ip_network("169.254.0.0/16")))
    open_ones = ("10.1.2.3", "::ffff:10.1.2.3", "93.184.216.34")
    closed = ("192.168.0.1", "169.254.0.1", "127.0.0.1", "::ffff:127.0.0.1")
    assert [rule.allows(text) for text in (*open_ones, *closed)] == [True] * 3 + [False] * 4
    assert not AddressRule().allows("10.0.0.1")
    only = AddressRule(only=(ip_network("127.0.0.0/8"),))
    assert [only.allows(text) for text in ("127.0.0.1", "93.184.216.34", "::1")] == [True, False, False]
    assert [overlaps_never(ip_network(text)) for text in ("10.0.0.0/8", "169.0.0.0/8", "0.0.0.0/0")] == [
        False, True, True,
    ]  # fmt: skip


@for_rows("text", ["::1", "::", "fe80::1%eth0", "2606:4700::1%eth0", "fd00::1", "no address", ""])
def test_no_connection_is_made_to_what_is_special_scoped_or_no_address(text: str) -> None:
    assert not AddressRule().allows(text)
    assert AddressRule((ip_network("::1/128"), ip_network("fd00::/8"))).allows(text) is (text in ("::1", "fd00::1"))


WORDS = """https http : // / \\ @ # ? %2e %2f .. . ; fhir.example.org r4 127.0.0.1 [::1] 0x7f :443 :80 。 ſ evil.example
    | & = +"""
PIECES = st.sampled_from([*WORDS.split(), " ", "\t", "\n", "\0"])


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40) | st.text(max_size=20).map("https://".__add__))
def test_a_text_is_an_address_that_httpx_reads_alike_or_none(text: str) -> None:
    try:
        url = parse_url(text)
    except BadUrl:
        return
    other = httpx.URL(text)
    assert (other.scheme, other.host, other.port or url.port) == (url.scheme, url.host, url.port)
    assert (other.userinfo, other.fragment) == (b"", "")
    assert parse_url(str(url)) == url


@given(st.lists(PIECES, max_size=8).map("".join))
def test_what_goes_on_from_a_base_is_below_it_or_refused(rest: str) -> None:
    base = parse_url("https://fhir.example.org/r4")
    try:
        url = parse_url("https://fhir.example.org/r4" + rest)
    except BadUrl:
        return
    if is_below(url, base):
        assert url.origin == base.origin
        assert httpx.URL("https://fhir.example.org/r4/").join(str(url)).path.startswith("/r4")
