"""What of a changed trust file is in force: a withdrawal never waits for a mistake in another line."""

import asyncio
import json

import pytest

from cds_hooks.call.security.addresses import KeySetUrl
from cds_hooks.call.security.register import WatchedTrustFile
from cds_hooks.call.security.trust import ANY_NAME, PinnedKeys
from cds_hooks.call.security.trust_file import TrustFileError, read_trust_file
from tests.cds_hooks.call.security.trusting import CLIENT, Site

ENTRY = CLIENT.partition("\n\n")[2]
FIRST = ENTRY + 'services = ["order-safety", "statins"]\nhooks = ["order-sign", "order-select"]\n'
SECOND = FIRST.replace("Example", "Second").replace("https://ehr", "https://other")
MISTAKE = 'networks = ["x1"]\n'
MALFORMED = "tenant = 5\n"


async def _no_fetch(source: KeySetUrl) -> bytes:
    raise AssertionError(f"nothing is fetched here: {source}")


def _whole(*entries: str) -> str:
    return "\n".join(("version = 1\n", *entries))


@pytest.fixture
def live(site: Site) -> WatchedTrustFile:
    site.write(_whole(FIRST, SECOND))
    return WatchedTrustFile(site.file, ANY_NAME, _no_fetch)


def _write(live: WatchedTrustFile, site: Site, text: str) -> dict[str, tuple[set[str], set[str]]]:
    """Services and hooks of each client after the server has looked at this version."""
    site.write(text)
    asyncio.run(live.look())
    return {client.name: (set(client.services), set(client.hooks)) for client in live.register.clients}


BOTH = ({"order-safety", "statins"}, {"order-sign", "order-select"})


@pytest.mark.parametrize("mistake", [MISTAKE, MALFORMED])
def test_a_client_that_is_taken_out_is_out_although_another_entry_has_a_mistake(
    live: WatchedTrustFile, site: Site, mistake: str
) -> None:
    assert _write(live, site, _whole(SECOND + mistake)) == {"Second": BOTH}
    assert live.state.clients == ("Second",)
    assert "has mistakes in 1 of its clients" in live.state.sentence


@pytest.mark.parametrize("mistake", [MISTAKE, MALFORMED])
def test_the_only_list_of_services_counts_although_its_entry_has_a_mistake(
    live: WatchedTrustFile, site: Site, mistake: str
) -> None:
    _write(live, site, _whole(ENTRY, SECOND + mistake))
    (without_list,) = [client for client in live.register.clients if client.name != "Second"]
    assert not any(without_list.may_call({name}) for name in ("order-safety", "statins", "chart-opening"))


@pytest.mark.parametrize("mistake", [MISTAKE, MALFORMED])
@pytest.mark.parametrize(
    ("written", "remains", "left"),
    [
        ("", "", BOTH),
        (', "statins"', "", ({"order-safety"}, BOTH[1])),
        ('"order-sign", ', "", (BOTH[0], {"order-select"})),
        ('services = ["order-safety", "statins"]', "services = []", None),
        ('issuers = ["https://ehr.example.org"]', 'issuers = ["https://new.example.org"]', None),
        ('jwks_file = "jwks.json"', 'jwks_url = "https://ehr.example.org/jwks"', None),
    ],
)
def test_a_right_that_an_entry_no_longer_lists_ends_although_the_entry_has_a_mistake(
    live: WatchedTrustFile,
    site: Site,
    mistake: str,
    written: str,
    remains: str,
    left: tuple[set[str], set[str]] | None,
) -> None:
    changed = FIRST.replace(written, remains, 1) + mistake
    expected = {"Second": BOTH} | ({"Example": left} if left is not None else {})
    assert _write(live, site, _whole(changed, SECOND)) == expected


def test_a_key_that_is_withdrawn_is_withdrawn_although_the_entry_has_a_mistake(
    live: WatchedTrustFile, site: Site
) -> None:
    keys = json.loads((site.folder / "jwks.json").read_text())["keys"]
    (site.folder / "jwks.json").write_text(json.dumps({"keys": keys[1:]}))
    _write(live, site, _whole(FIRST + MISTAKE, SECOND))
    for client in live.register.clients:
        assert isinstance(client.key_source, PinnedKeys)
        assert set(client.key_source.keys.by_kid) == {key["kid"] for key in keys[1:]}


def test_a_client_that_is_taken_out_while_the_mistake_of_another_stays_is_out(
    live: WatchedTrustFile, site: Site
) -> None:
    assert set(_write(live, site, _whole(FIRST + MISTAKE, SECOND))) == {"Example", "Second"}
    assert set(_write(live, site, _whole(FIRST + MISTAKE))) == {"Example"}


def test_a_new_client_and_the_mended_file_are_in_force_at_once(live: WatchedTrustFile, site: Site) -> None:
    third = SECOND.replace("Second", "Third").replace("https://other", "https://third")
    assert set(_write(live, site, _whole(FIRST + MISTAKE, SECOND, third))) == {"Example", "Second", "Third"}
    assert set(_write(live, site, _whole(FIRST, SECOND, third))) == {"Example", "Second", "Third"}
    assert live.state.problems == ()
    assert live.state.sentence == ""


def test_two_entries_that_one_token_could_belong_to_keep_their_last_good_ones(
    live: WatchedTrustFile, site: Site
) -> None:
    twin = FIRST.replace("Example", "Twin")
    assert set(_write(live, site, _whole(FIRST, SECOND, twin))) == {"Example", "Second"}
    with pytest.raises(TrustFileError, match="tell them apart by issuers, subjects or tenant"):
        read_trust_file(site.file)


def test_a_whole_file_is_taken_also_where_the_old_one_begins_with_it(live: WatchedTrustFile, site: Site) -> None:
    assert _write(live, site, _whole(FIRST)) == {"Example": BOTH}


@pytest.mark.parametrize("text", ["version = ", "version = 1\nunknown = 2\n"])
def test_a_file_of_which_nothing_can_be_used_leaves_the_last_good_one_and_says_so(
    live: WatchedTrustFile, site: Site, text: str
) -> None:
    assert _write(live, site, text) == {"Example": BOTH, "Second": BOTH}
    assert "is refused; that of" in live.state.sentence
