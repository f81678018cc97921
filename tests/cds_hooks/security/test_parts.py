"""What is read of a token and of an address before anybody is trusted: each check on and beside its limit."""

import json
from base64 import urlsafe_b64encode
from ipaddress import ip_network
from typing import Any

import pytest

from cds_hooks.errors import Untrusted
from cds_hooks.security.addresses import (
    AddressRule,
    BadUrl,
    Budgets,
    Reach,
    Url,
    address_of,
    is_below,
    is_loopback,
    overlaps_never,
    parse_url,
    reach_of,
)
from cds_hooks.security.client import TrustedClient
from cds_hooks.security.token import (
    Claims,
    ClientRegister,
    Header,
    _check_header,
    _check_times,
    bearer,
    claimed_client,
    endpoints_of,
    read_token,
)

Json = dict[str, Any]
HEADER: Json = {"alg": "ES384", "kid": "k", "typ": "JWT"}
CLAIMS: Json = {"iss": "https://ehr.example", "aud": "https://cds.example/x", "exp": 2000, "iat": 1000, "jti": "j"}


def coded(part: Any) -> bytes:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def compact(header: Json | None = None, claims: Json | None = None) -> bytes:
    parts = (HEADER if header is None else header, CLAIMS if claims is None else claims)
    return b".".join((*map(coded, parts), b"c2ln"))


def refusal(call: Any, *arguments: Any) -> str:
    """The reason for which it is refused; "" where it is not."""
    try:
        call(*arguments)
    except Untrusted as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(b"authorization", b"Bearer x")], ""),
        ([(b"Authorization", b"bearer x")], ""),
        ([(b"other", b"Bearer x")], "no-token"),
        ([], "no-token"),
        ([(b"authorization", b"Bearer x")] * 2, "two-tokens"),
        ([(b"authorization", b"Basic x")], "scheme"),
        ([(b"authorization", b"Bearer " + b"x" * 8185)], ""),
        ([(b"authorization", b"Bearer " + b"x" * 8186)], "too-long"),
    ],
)
def test_one_bearer_token_of_at_most_eight_kilobytes_is_read(headers: Any, reason: str) -> None:
    assert refusal(bearer, headers) == reason
    if not reason:
        assert set(bearer(headers)) == {ord("x")}


def test_a_token_is_read_into_its_parts() -> None:
    header = HEADER | {"jku": "https://ehr.example/keys"}
    token = read_token(compact(header, CLAIMS | {"nbf": 1, "sub": "s", "tenant": "t"}))
    assert token.header == Header("ES384", "k", "https://ehr.example/keys")
    assert token.claims == Claims("https://ehr.example", ("https://cds.example/x",), 2000, 1000, "j", 1, "s", "t")
    assert (token.signature, token.signed.count(b".")) == (b"sig", 1)
    assert read_token(compact(claims=CLAIMS | {"aud": ["a", "b"]})).claims.aud == ("a", "b")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "at+jwt"}, "header"),
        ({"alg": 7}, "header"),
        ({"alg": None}, "header"),
        ({"kid": ""}, "header"),
        ({"kid": None}, "header"),
        ({"kid": "k" * 1024}, ""),
        ({"kid": "k" * 1025}, "header"),
        ({"jku": 7}, "header"),
        ({"jwk": {}}, "header"),
        ({"x5c": []}, "header"),
        ({"x5u": "u"}, "header"),
        ({"crit": []}, "header"),
        ({"b64": True}, "header"),
        ({"zip": "DEF"}, "header"),
        ({"enc": "x"}, "header"),
    ],
)
def test_a_header_names_its_key_and_supplies_none(header: Json, reason: str) -> None:
    assert refusal(read_token, compact(HEADER | header)) == reason


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": ""}, "claims"),
        ({"iss": "i" * 1024}, ""),
        ({"iss": "i" * 1025}, "claims"),
        ({"jti": None}, "claims"),
        ({"exp": "2000"}, "claims"),
        ({"exp": True}, "claims"),
        ({"exp": -1}, "claims"),
        ({"exp": 0}, ""),
        ({"exp": 1e11}, "claims"),
        ({"exp": 99_999_999_999}, ""),
        ({"iat": None}, "claims"),
        ({"iat": False}, "claims"),
        ({"nbf": None}, ""),
        ({"nbf": "1"}, "claims"),
        ({"sub": 7}, "claims"),
        ({"tenant": 7}, "claims"),
        ({"aud": []}, "claims"),
        ({"aud": ["a", 7]}, "claims"),
        ({"aud": None}, "claims"),
    ],
)
def test_claims_have_the_form_that_cds_hooks_requires(claims: Json, reason: str) -> None:
    assert refusal(read_token, compact(claims=CLAIMS | claims)) == reason


@pytest.mark.parametrize("text", [b"", b"a.b", b"a.b.c.d", b"a.b.", b"a.b.c=", b"!.b.c", b"a.b.c"])
def test_what_is_no_compact_token_is_malformed(text: bytes) -> None:
    assert refusal(read_token, text) == "malformed"


def claims(**changed: Any) -> Claims:
    members: Json = {"iss": "i", "aud": ("https://cds.example/x",), "exp": 2000.0, "iat": 1000.0, "jti": "j"}
    return Claims(**{**members, "nbf": None, "sub": None, "tenant": None, **changed})


CLIENT = TrustedClient("ehr", issuers=frozenset({"i"}), budgets=Budgets(max_lifetime_seconds=3600, skew_seconds=30))


@pytest.mark.parametrize(
    ("changed", "now", "reason"),
    [
        ({}, 1500, ""),
        ({}, 2030, "expired"),
        ({}, 2029, ""),
        ({}, 970, ""),
        ({}, 969, "not-yet"),
        ({"nbf": 1530.0}, 1500, ""),
        ({"nbf": 1531.0}, 1500, "not-yet"),
        ({"iat": 2000.0}, 2000, "lifetime"),
        ({"iat": 1999.0}, 2000, ""),
        ({"exp": 4600.0}, 1500, ""),
        ({"exp": 4601.0}, 1500, "lifetime"),
    ],
)
def test_a_token_counts_within_its_times_and_the_difference_of_clocks(changed: Json, now: float, reason: str) -> None:
    assert refusal(_check_times, claims(**changed), CLIENT, now) == reason


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (Header("ES384", "k", None), ""),
        (Header("RS384", "k", None), ""),
        (Header("HS256", "k", None), "algorithm"),
        (Header("ES384", "k", "https://ehr.example/keys"), "jku"),
    ],
)
def test_the_algorithm_and_the_address_of_the_keys_are_the_registered_ones(header: Header, reason: str) -> None:
    assert refusal(_check_header, header, CLIENT) == reason


def test_the_client_is_found_by_issuer_subject_and_tenant() -> None:
    one = TrustedClient("one", frozenset({"i"}), subjects=frozenset({"s"}), cors_origins=frozenset({"o"}))
    two = TrustedClient("two", frozenset({"i", "j"}), tenant="t")
    three = TrustedClient("three", frozenset({"i"}))
    register = ClientRegister((one, two, three))
    names = {
        who: register.client_of(claims(iss=who[0], sub=who[1], tenant=who[2])).name
        for who in (("i", "s", None), ("i", "x", "t"), ("i", None, None), ("j", None, "t"))
    }
    assert list(names.values()) == ["one", "two", "three", "two"]
    assert register.origins == {"o"}
    for issuer, tenant in (("j", "x"), ("k", None)):
        assert refusal(register.client_of, claims(iss=issuer, tenant=tenant)) == "issuer"


def test_the_audience_is_the_called_address_or_one_that_is_registered() -> None:
    token = read_token(compact(claims=CLAIMS | {"iss": "i"}))
    register = ClientRegister((CLIENT,))
    assert claimed_client(token, register, {"https://cds.example/x"}, 1500) is CLIENT
    assert refusal(claimed_client, token, register, {"https://cds.example/y"}, 1500) == "audience"
    wide = ClientRegister((TrustedClient("ehr", frozenset({"i"}), audiences=frozenset({"https://cds.example/x"})),))
    assert claimed_client(token, wide, (), 1500).name == "ehr"


def test_the_addresses_that_a_token_may_name() -> None:
    own = {"https://cds.example/cds-services/a/feedback", "https://cds.example/cds-services/a"}
    assert endpoints_of("https://cds.example/", "/cds-services/a/feedback") == own
    assert endpoints_of("https://cds.example", "/cds-services/a") == {"https://cds.example/cds-services/a"}
    here = endpoints_of("http://127.0.0.1:8085", "/x")
    assert here == {f"http://{host}:8085/x" for host in ("127.0.0.1", "localhost", "[::1]")}
    assert endpoints_of("no address", "/x") == {"no address/x"}


# Addresses


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://A.example", Url("https", "a.example", 443, "/")),
        ("http://a.example:8080/fhir/R4?x=1", Url("http", "a.example", 8080, "/fhir/R4", "x=1")),
        ("https://[::1]/a/", Url("https", "::1", 443, "/a/")),
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


def test_the_parts_of_an_address_are_written_as_a_request_has_them() -> None:
    url = parse_url("https://[::1]:8443/a?b=c")
    assert (url.authority, url.target, str(url)) == ("[::1]:8443", "/a?b=c", "https://[::1]:8443/a?b=c")
    usual = parse_url("http://a.example:80/a")
    assert (usual.authority, usual.target, usual.origin) == ("a.example", "/a", ("http", "a.example", 80))


@pytest.mark.parametrize(
    ("address", "base", "expected"),
    [
        ("https://a.example/fhir", "https://a.example/fhir/", True),
        ("https://a.example/fhir/Patient", "https://a.example/fhir", True),
        ("https://a.example/fhirs", "https://a.example/fhir", False),
        ("https://a.example/", "https://a.example/fhir", False),
        ("http://a.example/fhir", "https://a.example/fhir", False),
        ("https://a.example:8443/fhir", "https://a.example/fhir", False),
    ],
)
def test_what_is_below_a_registered_base(address: str, base: str, *, expected: bool) -> None:
    assert is_below(parse_url(address), parse_url(base)) is expected


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.31.255.255", False),
        ("172.32.0.0", True),
        ("100.63.255.255", True),
        ("100.64.0.0", False),
        ("2606:4700::1", True),
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:a00:1::", False),
        ("2002:5db8:d822::", True),
        ("::10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("no address", False),
    ],
)
def test_without_networks_of_its_own_a_host_is_public(address: str, *, allowed: bool) -> None:
    assert AddressRule().allows(address) is allowed


def test_a_registered_network_is_reached_and_what_no_client_is_given_is_not() -> None:
    rule = AddressRule((ip_network("10.0.0.0/8"), ip_network("169.254.0.0/16")))
    assert [rule.allows(text) for text in ("10.1.2.3", "192.168.0.1", "169.254.0.1", "93.184.216.34")] == [
        True, False, False, True,
    ]  # fmt: skip
    only = AddressRule(only=(ip_network("127.0.0.0/8"),))
    assert [only.allows(text) for text in ("127.0.0.1", "93.184.216.34", "::1")] == [True, False, False]
    assert [overlaps_never(ip_network(text)) for text in ("10.0.0.0/8", "169.0.0.0/8", "0.0.0.0/0")] == [
        False, True, True,
    ]  # fmt: skip


def test_a_host_that_is_written_as_an_address_is_reached_at_it() -> None:
    given = Reach(AddressRule((ip_network("10.0.0.0/8"),)), "PEM")
    assert reach_of(parse_url("https://a.example"), given) == given
    assert reach_of(parse_url("https://192.168.0.5"), given) == Reach(
        AddressRule((ip_network("10.0.0.0/8"), ip_network("192.168.0.5/32"))), "PEM"
    )
    here = reach_of(parse_url("http://localhost"), given)
    assert here.authorities == "PEM"
    assert [here.rule.allows(text) for text in ("127.0.0.1", "::1", "10.0.0.1")] == [True, True, False]
    assert [is_loopback(parse_url(f"http://{host}")) for host in ("localhost", "127.9.9.9", "[::1]", "a.example")] == [
        True, True, True, False,
    ]  # fmt: skip
    assert address_of("a.example") is None
