"""The trust file is followed while the server runs: good changes at once, bad ones not at all."""

import json
from pathlib import Path

import pytest

from cds_hooks.security.addresses import KeySetUrl
from cds_hooks.security.register import WatchedTrustFile
from cds_hooks.security.trust_file import ANY_NAME, TrustFileError
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.security.trusting import CLIENT, Clock, Site


async def _no_fetch(source: KeySetUrl) -> bytes:
    raise AssertionError(f"nothing is fetched here: {source}")


@pytest.fixture
def live(site: Site, clock: Clock) -> WatchedTrustFile:
    return WatchedTrustFile(site.file, ANY_NAME, _no_fetch, clock)


def _pass(live: WatchedTrustFile, clock: Clock) -> None:
    """Two looks, after which a change has been taken."""
    for _ in range(2):
        clock.now += 0.5
        live.register()


def _names(live: WatchedTrustFile) -> list[str]:
    return [client.name for client in live.register().clients]


def test_a_change_is_seen_after_a_second_and_not_looked_for_before(
    live: WatchedTrustFile, site: Site, clock: Clock
) -> None:
    site.write(CLIENT.replace("Example", "Changed"))
    clock.now += 0.4
    assert _names(live) == ["Example"]
    clock.now += 0.1
    assert _names(live) == ["Example"], "it may still be being written"
    clock.now += 0.5
    assert _names(live) == ["Changed"]


def test_a_file_that_is_being_written_is_not_read_before_it_has_stopped_changing(
    live: WatchedTrustFile, site: Site, clock: Clock
) -> None:
    whole = CLIENT + CLIENT.replace("Example", "Second").replace("https://ehr", "https://other").replace(
        "version = 1\n", ""
    )
    for length in range(len(CLIENT) - 40, len(whole), 40):  # at some lengths it is a whole file with one client fewer
        site.write(whole[:length])
        clock.now += 0.5
        assert _names(live) == ["Example"]
    site.write(whole)
    _pass(live, clock)
    assert _names(live) == ["Example", "Second"]


def test_a_file_that_was_cut_off_between_two_clients_is_refused_by_its_count(
    live: WatchedTrustFile, site: Site, clock: Clock
) -> None:
    second = CLIENT.replace("Example", "Second").replace("https://ehr", "https://other").replace("version = 1\n", "")
    site.write("clients = 2\n" + CLIENT + second)
    _pass(live, clock)
    assert _names(live) == ["Example", "Second"]
    site.write("clients = 2\n" + CLIENT)
    _pass(live, clock)
    assert _names(live) == ["Example", "Second"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("version = ", "not-toml"),
        ("x = " + "[" * 5_000, "not-toml"),
        ("x = " + "9" * 5_000, "not-toml"),
        ("version = 2", "form"),
        (CLIENT + 'networks = ["x1"]\n', "content"),
    ],
)
def test_a_bad_file_changes_nothing_and_is_said_once(
    live: WatchedTrustFile, site: Site, clock: Clock, text: str, kind: str
) -> None:
    site.write(text)
    with capture_logs() as lines:
        for _ in range(3):
            _pass(live, clock)
            assert _names(live) == ["Example"]
    assert [(line["level"], line["reason"]) for line in lines] == [("error", kind)]
    site.write(CLIENT.replace("Example", "Good again"))
    _pass(live, clock)
    assert _names(live) == ["Good again"]


def test_a_file_that_is_taken_away_changes_nothing(live: WatchedTrustFile, site: Site, clock: Clock) -> None:
    site.file.unlink()
    with capture_logs() as lines:
        _pass(live, clock)
        assert _names(live) == ["Example"]
    assert [line["reason"] for line in lines] == ["unreadable"]


def test_a_key_file_is_followed_as_well(live: WatchedTrustFile, site: Site, clock: Clock) -> None:
    before = live.register().clients[0].key_source
    key_set = json.loads((site.folder / "jwks.json").read_text())
    (site.folder / "jwks.json").write_text(json.dumps({"keys": key_set["keys"][:1]}))
    _pass(live, clock)
    assert live.register().clients[0].key_source != before


def test_what_a_refused_file_lacked_may_come_later(live: WatchedTrustFile, site: Site, clock: Clock) -> None:
    site.write(CLIENT.replace("jwks.json", "later.json").replace("Example", "Later"))
    _pass(live, clock)
    assert _names(live) == ["Example"]
    (site.folder / "later.json").write_text((site.folder / "jwks.json").read_text())
    _pass(live, clock)
    assert _names(live) == ["Later"]


def test_fetched_keys_outlive_a_change_that_is_not_theirs(site: Site, clock: Clock) -> None:
    remote = CLIENT.replace('jwks_file = "jwks.json"', 'jwks_url = "https://ehr.example.org/jwks"')
    site.write(remote)
    live = WatchedTrustFile(site.file, ANY_NAME, _no_fetch, clock)
    source = live.register().clients[0].key_source
    assert isinstance(source, KeySetUrl)
    keys = live.remote_keys(source)
    site.write(remote + 'tenant = "north"\n')
    _pass(live, clock)
    live.register()
    assert live.remote_keys(source) is keys
    site.write(remote.replace("org/jwks", "org/other"))
    _pass(live, clock)
    live.register()
    with pytest.raises(KeyError):
        live.remote_keys(source)


def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(TrustFileError) as refused:
        WatchedTrustFile(tmp_path / "nowhere.toml", ANY_NAME, _no_fetch, clock)
    assert refused.value.kind == "unreadable"


_SECOND = CLIENT.replace("Example", "Second").replace("https://ehr", "https://other").replace("version = 1\n", "")


def test_a_file_that_ends_within_its_last_client_is_refused_and_the_last_good_one_stays(
    site: Site, clock: Clock
) -> None:
    whole = f'{CLIENT}services = ["order-safety"]\n\n{_SECOND}services = ["order-safety"]\n'
    site.write(whole)
    live = WatchedTrustFile(site.file, ANY_NAME, _no_fetch, clock)
    site.write(whole.removesuffix('services = ["order-safety"]\n'))
    _pass(live, clock)
    assert [client.may_call("order-safety") for client in live.register().clients] == [True, True]
    assert not any(client.may_call("planning-conversation") for client in live.register().clients)


def test_the_last_client_can_be_taken_out_of_the_file(site: Site, clock: Clock) -> None:
    site.write(f"{CLIENT}\n{_SECOND}")
    live = WatchedTrustFile(site.file, ANY_NAME, _no_fetch, clock)
    site.write(CLIENT)
    _pass(live, clock)
    assert _names(live) == ["Example"]


def test_where_a_client_lists_its_services_one_without_a_list_may_call_none(site: Site, clock: Clock) -> None:
    site.write(f'{CLIENT}services = ["*"]\n\n{_SECOND}')
    with capture_logs() as logs:
        live = WatchedTrustFile(site.file, ANY_NAME, _no_fetch, clock)
    assert [client.may_call("order-safety") for client in live.register().clients] == [True, False]
    assert [line["client"] for line in logs if line["event"] == "client without services may call none"] == ["Second"]
    site.write(f"{CLIENT}\n{_SECOND}")
    _pass(live, clock)
    assert [client.may_call("order-safety") for client in live.register().clients] == [True, True]
