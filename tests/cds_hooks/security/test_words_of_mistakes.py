"""Each mistake in a trust file as the whole sentence that its author reads."""

from typing import Any

import pytest

from cds_hooks.security.trust_file import place_in_trust_file, schema_problems

CLIENT = {"name": "A", "issuers": ["https://a"]}
REFRESH = "a whole number from 60 to 86400: after how long a key set is fetched again, so that a withdrawn key ends"
MARK = "the last line of the file, a comment; a file that ends otherwise was cut off and is refused"
KNOWN = "client, clients, discovery_needs_token, end_mark, jwks, services, version"
ISSUER = "a text: the token's iss exactly as it is sent"


@pytest.mark.parametrize(
    ("more", "problems"),
    [
        ({}, []),
        ({"version": 2}, ["version: 2 is not right, it must be the number 1, the version of this form"]),
        ({"jwks": {"refresh_seconds": 60}}, []),
        ({"jwks": {"refresh_seconds": 86400}}, []),
        ({"jwks": {"refresh_seconds": 59}}, [f"jwks.refresh_seconds: 59 is not right, it must be {REFRESH}"]),
        ({"jwks": {"refresh_seconds": 86401}}, [f"jwks.refresh_seconds: 86401 is not right, it must be {REFRESH}"]),
        ({"clinets": 1}, ['the file: there is no setting "clinets"; did you mean clients?']),
        ({"zzzz": 1}, [f'the file: there is no setting "zzzz"; known are {KNOWN}']),
        (
            {"zzzz": 1, "clinets": 1},
            [
                f'the file: there is no setting "zzzz"; known are {KNOWN}; '
                'the file: there is no setting "clinets"; did you mean clients?'
            ],
        ),
        ({"services": ["a", "a"]}, ["services: something is listed twice"]),
        ({"client": [{"name": "A"}]}, ['client 1 "A": missing: issuers']),
        ({"client": [CLIENT, {}]}, ["client 2: missing: name, issuers"]),
        ({"client": [CLIENT | {"issuers": [""]}]}, [f'client 1 "A", issuers[0]: "" is not right, it must be {ISSUER}']),
        ({"client": [CLIENT | {"keys": [5]}]}, ['client 1 "A", keys[0]: must be a table: one public key as JWK']),
        ({"client": [5]}, ["client 1: 5 is not right, it must be tables [[client]], at most 1000"]),
        ({"end_mark": "x" * 58}, [f'end_mark: "{"x" * 58}" is not right, it must be {MARK}']),
        ({"end_mark": "x" * 59}, [f"end_mark: must be {MARK}"]),
        ({"end_mark": "é"}, [f'end_mark: "é" is not right, it must be {MARK}']),
        (
            {"version": 3, "clients": -1},
            [
                "clients: -1 is not right, it must be a whole number: how many [[client]] follow, so that a file that "
                "was cut off is refused",
                "version: 3 is not right, it must be the number 1, the version of this form",
            ],
        ),
    ],
)
def test_a_mistake_is_this_sentence(more: dict[str, Any], problems: list[str]) -> None:
    assert schema_problems({"version": 1} | more) == problems


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ([], "the file"),
        (["client"], "client"),
        (["client", 0], 'client 1 "A"'),
        (["client", 1], "client 2"),
        (["client", 2], "client 3"),
        (["client", 0, "algorithms", 0], 'client 1 "A", algorithms[0]'),
        (["client", 0, "fhir", 1, "url"], 'client 1 "A", fhir[1].url'),
        (["jwks", "refresh_seconds"], "jwks.refresh_seconds"),
    ],
)
def test_a_place_is_named_as_its_author_looks_for_it(path: list[str | int], place: str) -> None:
    assert place_in_trust_file({"client": [{"name": "A"}, {"name": 3}, "none"]}, path) == place
