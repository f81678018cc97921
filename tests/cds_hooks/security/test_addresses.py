"""Addresses from outside: one meaning or none, whatever the text."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.security.addresses import NEVER, AddressRule, BadUrl, is_below, parse_url

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


@pytest.mark.parametrize(
    ("base", "address", "below"),
    [
        ("https://h/r4", "https://h/r4", True),
        ("https://h/r4", "https://h/r4/", True),
        ("https://h/r4", "https://h/r4/Patient", True),
        ("https://h/r4", "https://h/r4?x=1", True),
        ("https://h", "https://h/anything", True),
        ("https://h/r4", "https://h/r44", False),
        ("https://h/r4", "https://h/r", False),
        ("https://h/r4", "http://h/r4", False),
        ("https://h/r4", "https://h:444/r4", False),
        ("https://h/r4", "https://i/r4", False),
    ],
)
def test_below_is_by_whole_segments(base: str, address: str, below: bool) -> None:
    assert is_below(parse_url(address), parse_url(base)) is below


GIVEN = tuple(ip_network(text) for text in ("10.0.0.0/8", "192.168.0.0/16", "127.0.0.0/8", "fd00::/16"))


@given(st.ip_addresses())
def test_what_is_never_called_is_called_under_no_rule(address: IPv4Address | IPv6Address) -> None:
    given_networks = AddressRule(GIVEN)
    if any(address in network for network in NEVER):
        assert not given_networks.allows(str(address))
    if AddressRule().allows(str(address)):
        assert given_networks.allows(str(address))


def test_an_address_of_the_most_characters_is_read_and_a_longer_one_is_not() -> None:
    longest = "https://ehr.example/" + "a" * (8192 - len("https://ehr.example/"))
    assert parse_url(longest).host == "ehr.example"
    with pytest.raises(BadUrl, match="longer than 8192"):
        parse_url(longest + "a")
