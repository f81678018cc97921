"""The trust file is followed while the server runs: good changes at once, bad ones not at all."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from cds_hooks.security.client import KeySetUrl
from cds_hooks.security.register import LiveRegister
from cds_hooks.security.trust_file import ANYTHING, TrustFileError
from tests.cds_hooks.security.trusting import CLIENT, Clock, Site


async def _no_fetch(source: KeySetUrl) -> bytes:
    raise AssertionError(f"nothing is fetched here: {source}")


@pytest.fixture
def live(site: Site, clock: Clock) -> LiveRegister:
    return LiveRegister(site.file, ANYTHING, _no_fetch, clock)


def _names(live: LiveRegister) -> list[str]:
    return [client.name for client in live.register().clients]


def test_a_change_is_seen_after_a_second_and_not_looked_for_before(
    live: LiveRegister, site: Site, clock: Clock
) -> None:
    site.write(CLIENT.replace("Example", "Changed"))
    clock.now += 0.9
    assert _names(live) == ["Example"]
    clock.now += 0.1
    assert _names(live) == ["Changed"]


def test_a_client_that_is_taken_out_is_gone(live: LiveRegister, site: Site, clock: Clock) -> None:
    site.write("version = 1\n")
    clock.now += 1
    assert _names(live) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [("version = ", "not-toml"), ("version = 2", "form"), (CLIENT + 'networks = ["x1"]\n', "content")],
)
def test_a_bad_file_changes_nothing_and_is_said_once(
    live: LiveRegister, site: Site, clock: Clock, text: str, kind: str
) -> None:
    site.write(text)
    with capture_logs() as lines:
        for _ in range(3):
            clock.now += 1
            assert _names(live) == ["Example"]
    assert [(line["log_level"], line["reason"]) for line in lines] == [("error", kind)]
    site.write(CLIENT.replace("Example", "Good again"))
    clock.now += 1
    assert _names(live) == ["Good again"]


def test_a_file_that_is_taken_away_changes_nothing(live: LiveRegister, site: Site, clock: Clock) -> None:
    site.file.unlink()
    clock.now += 1
    with capture_logs() as lines:
        assert _names(live) == ["Example"]
    assert [line["reason"] for line in lines] == ["unreadable"]


def test_a_key_file_is_followed_as_well(live: LiveRegister, site: Site, clock: Clock) -> None:
    before = live.register().clients[0].key_source
    key_set = json.loads((site.folder / "jwks.json").read_text())
    (site.folder / "jwks.json").write_text(json.dumps({"keys": key_set["keys"][:1]}))
    clock.now += 1
    assert live.register().clients[0].key_source != before


def test_what_a_refused_file_lacked_may_come_later(live: LiveRegister, site: Site, clock: Clock) -> None:
    site.write(CLIENT.replace("jwks.json", "later.json").replace("Example", "Later"))
    clock.now += 1
    assert _names(live) == ["Example"]
    (site.folder / "later.json").write_text((site.folder / "jwks.json").read_text())
    clock.now += 1
    assert _names(live) == ["Later"]


def test_fetched_keys_outlive_a_change_that_is_not_theirs(site: Site, clock: Clock) -> None:
    remote = CLIENT.replace('jwks_file = "jwks.json"', 'jwks_url = "https://ehr.example.org/jwks"')
    site.write(remote)
    live = LiveRegister(site.file, ANYTHING, _no_fetch, clock)
    source = live.register().clients[0].key_source
    assert isinstance(source, KeySetUrl)
    keys = live.remote_keys(source)
    site.write(remote + 'tenant = "north"\n')
    clock.now += 1
    live.register()
    assert live.remote_keys(source) is keys
    site.write(remote.replace("org/jwks", "org/other"))
    clock.now += 1
    live.register()
    with pytest.raises(KeyError):
        live.remote_keys(source)


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(TrustFileError) as refused:
        LiveRegister(tmp_path / "nowhere.toml", ANYTHING, _no_fetch, clock)
    assert refused.value.kind == "unreadable"
