"""Settings that depend on each other, what is made of their texts, and the names of those that are none."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from cds_hooks.settings import Settings
from cds_hooks.settings.checks import ignored_settings
from cds_hooks.settings.fields import read_provider
from tests.each import for_rows

ORIGINS = "write an origin as https://ehr.example.org, without a path"
LISTEN = "write it as 127.0.0.1:9085, [::1]:9085 or unix:/run/cds-hooks/operator.sock"
BOTH = "CDS_LOGIN asks everybody to log in, and CDS_EXPLAIN_PAGES=everyone nobody: choose one"
NO_END = "With CDS_EXPLAIN_PAGES=everyone no link ends: choose it or CDS_EXPLAIN_LINK_KEY"
PUBLIC = (
    "CDS_OPERATOR_LISTEN is an address that other machines reach, and would give them decisions without a token: "
    "listen on 127.0.0.1 or unix:/…, or set CDS_OPERATOR_TOKEN or CDS_LOGIN"
)
TOKEN, KEY = SecretStr("x" * 16), SecretStr("x" * 32)


@pytest.fixture(autouse=True)
def _without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CDS_")]:
        monkeypatch.delenv(name)


@for_rows(
    ("given", "fault"),
    [
        ({"login": "accounts"}, None),
        ({"login": "accounts", "explain_pages": "everyone"}, BOTH),
        ({"explain_pages": "everyone"}, None),
        ({"explain_pages": "everyone", "explain_link_key": KEY}, NO_END),
        ({"explain_link_key": KEY}, None),
        ({"operator_listen": "10.0.0.1:9085"}, PUBLIC),
        ({"operator_listen": "10.0.0.1:9085", "operator_token": TOKEN}, None),
        ({"operator_listen": "10.0.0.1:9085", "login": "accounts"}, None),
        ({"operator_listen": "127.0.0.1:9085"}, None),
        ({"operator_listen": "unix:/run/x.sock"}, None),
        ({"operator_listen": "localhost"}, LISTEN),
        ({"login": "oidc"}, "CDS_LOGIN=oidc needs CDS_OIDC_FILE (docs/operations/access.md)"),
        ({"login": "both"}, "CDS_LOGIN=both needs CDS_OIDC_FILE (docs/operations/access.md)"),
        ({"public_url": "https://"},
         "an address must begin with http:// or https:// and a host; write it as https://cds.example.org"),
        ({"cors_origins": "loopback, *, https://a.example"}, None),
        ({"cors_origins": "https://a.example/x"}, f"an origin has no path; {ORIGINS}"),
        ({"trusted_proxies": "10.0.0.0/24, ::1"}, None),
        ({"trusted_proxies": "nowhere"}, "'nowhere' does not appear to be an IPv4 or IPv6 network"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_in_a_sentence(given: dict[str, Any], fault: str | None) -> None:
    if fault is None:
        Settings(**given)
        return
    with pytest.raises(ValidationError) as refused:
        Settings(**given)
    assert [error["msg"] for error in refused.value.errors()] == [f"Value error, {fault}"]


def test_lists_in_one_text_are_read_one_by_one() -> None:
    configured = Settings(
        cors_origins="loopback, https://a.example,*",
        trusted_proxies="10.0.0.0/24, ::1", public_url="https://cds.example/a/",
    )  # fmt: skip
    assert configured.origins == ("https://a.example", "*")
    assert [str(network) for network in configured.proxy_networks] == ["10.0.0.0/24", "::1/128"]
    assert configured.public_url == "https://cds.example/a"
    pattern = r"https?://(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"
    assert (configured.origin_pattern, Settings(cors_origins="*").origin_pattern) == (pattern, None)
    assert (Settings().origins, Settings().proxy_networks) == ((), ())


def test_where_the_operator_is_listened_for() -> None:
    assert Settings().operator_address is None
    assert Settings(operator_listen="[::1]:9085").operator_address == ("::1", 9085)
    assert Settings(operator_listen="unix:/run/x.sock").operator_address == ("/run/x.sock", None)


@pytest.mark.parametrize(
    ("given", "shows", "links"),
    [
        ({}, True, True),
        ({"trust_file": Path("t")}, False, False),
        ({"trust_file": Path("t"), "explain_pages": "everyone"}, True, True),
        ({"trust_file": Path("t"), "login": "accounts"}, False, True),
    ],
)
def test_who_reads_the_pages_of_decisions(given: dict[str, Any], shows: bool, links: bool) -> None:
    configured = Settings(**given)
    assert (configured.shows_pages, configured.links_to_pages) == (shows, links)


def test_hooks_are_declared_in_the_folder_of_models(tmp_path: Path) -> None:
    configured = Settings(models_folder=tmp_path)
    assert (Settings().hooks_file, configured.hooks_file) == (None, None)
    (tmp_path / "hooks.toml").write_text("")
    assert configured.hooks_file == tmp_path / "hooks.toml"


@for_rows(("name", "value", "sentence"))
def test_a_variable_that_is_no_setting_is_named(name: str, value: str, sentence: str | None) -> None:
    said = list(ignored_settings({name: value}, ("call_seconds", "database_url")))
    assert said == ([] if sentence is None else [sentence])


def test_a_provider_is_described_whole_and_its_secret_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "oidc.toml"
    with pytest.raises(ValueError, match=r"oidc\.toml "):
        read_provider(file)
    file.write_text(
        'issuer = "https://id.example"\nclient_id = "cds"\nclient_secret = "hush"\n[roles]\nicu = "viewer"\n'
    )
    provider = read_provider(file)
    assert (provider.issuer, provider.client_id, provider.roles_claim, provider.scopes, provider.roles) == (
        "https://id.example", "cds", "groups", "openid profile", {"icu": "viewer"},
    )  # fmt: skip
    assert Settings(login="oidc", oidc_file=file).login == "oidc"
    file.write_text('issuer = "https://id.example"\nclient_id = ""\nclient_secret = "hush"\n[roles]\nicu = "king"\n')
    for read in (lambda: read_provider(file), lambda: Settings(oidc_file=file)):
        with pytest.raises(
            ValueError, match=r"`client_id` must have at least 1 character\n.*`roles\.icu` must be "
        ) as wrong:
            read()
        assert "hush" not in str(wrong.value)
