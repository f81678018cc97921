"""What the server says at its start, what it keeps up to date meanwhile, what it sends of a call to a collector."""

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cds_hooks import lifespan
from cds_hooks.errors import ModelNotServed
from cds_hooks.lifespan import Lifespan, _say_models_out, _say_not_approved, _say_wide_proxies
from cds_hooks.memory import settle_memory
from cds_hooks.metrics import Metrics
from cds_hooks.metrics.counts import Snapshot
from cds_hooks.metrics.page import _parent_of, page_of, workers_of
from cds_hooks.packages import use_rules_of_site
from cds_hooks.settings import Settings
from cds_hooks.settings.checks import networks_of
from cds_hooks.storage.content import (
    ContentKeys,
    ContentUnreadable,
    UserNames,
    key_text,
    load_content,
    open_user_names,
    read_content_keys,
    read_user_keys,
    store_content,
    use_content_keys,
    use_site_keys,
)
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.trusted_models import AbsentModel, folder_of, signing_key, site_model
from models_onnx.errors import UnknownModel
from models_onnx.serving.registry import ARTIFACTS
from tests.cds_hooks.logged import capture_logs


def made(**members: Any) -> Any:
    return SimpleNamespace(**members)


def said(lines: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(line.get(name) for name in ("level", "event", *names)) for line in lines]


# The start


def test_models_that_cannot_be_served_are_said_with_their_service() -> None:
    absent = AbsentModel("m", OSError("gone"), ())
    services = {"a": made(id="a", absent_models=(absent,)), "b": made(id="b", absent_models=())}
    with capture_logs() as lines:
        _say_models_out(services)
    assert said(lines, "service", "reason") == [("error", "model cannot be served", "a", "m: OSError")]


@pytest.mark.parametrize(
    ("proxies", "lines"),
    [
        ("127.0.0.1/32, 10.0.0.0/8, fd00::/32", []),
        ("10.1.0.0/16, 0.0.0.0/0", ["0.0.0.0/0"]),
        ("0.0.0.0/1, ::/0", ["0.0.0.0/1", "::/0"]),
    ],
)
def test_a_network_of_proxies_that_anybody_can_be_in_is_said(proxies: str, lines: list[str]) -> None:
    with capture_logs() as written:
        _say_wide_proxies(networks_of(proxies))
    assert said(written, "reason") == [("warning", "anybody can be a trusted proxy", line) for line in lines]


SHADOW = ("warning", "rules are not approved and run in shadow", 3, "not-approved")
ACTS = ("error", "acts in the record do not count", 2, None)
NOBODY = ("warning", "nobody can approve: CDS_LOGIN is not set", None, "no-login")
REFUSED = ("error", "approvals in the record do not count", 1, None)


@pytest.mark.parametrize(
    ("counts", "approvals", "acts", "lines"),
    [
        (None, None, 0, []),
        ({"not_approved": 0}, None, 2, []),
        ({"not_approved": 3}, None, 2, [SHADOW]),
        (None, made(people_log_in=True, refused=[]), 0, []),
        (None, made(people_log_in=True, refused=[]), 2, [ACTS]),
        (None, made(people_log_in=False, refused=[]), 0, [NOBODY]),
        ({"not_approved": 3}, made(people_log_in=False, refused=["x"]), 2, [SHADOW, ACTS, NOBODY, REFUSED]),
    ],
)
def test_what_is_not_approved_is_said(counts: Any, approvals: Any, acts: int, lines: list[Any]) -> None:
    with capture_logs() as written:
        _say_not_approved(made(approval_counts=lambda: counts), approvals, made(refused=["x"] * acts))
    assert said(written, "count", "reason") == lines


@pytest.mark.parametrize("has_events", [True, False])
async def test_what_is_kept_up_to_date_and_closed(has_events: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def closing(name: str) -> Any:
        async def close() -> None:
            ended.append(name)

        return close

    def closed(name: str) -> Any:
        return lambda: ended.append(name)

    def kept(name: str) -> Any:
        async def keep(*_: str) -> None:
            ended.append(name)

        return keep

    components = made(
        governance=made(keep_reading=kept("governance")),
        releases=made(keep_reading=kept("releases"), current="current"),
        computing=made(close=closed("computing"), between_calls="between calls"),
        decisions=made(close=closing("decisions")),
        tracing=made(close=closed("tracing")), visits=made(keep_sweeping=kept("visits")), settings="settings",
    )  # fmt: skip
    span: Any = Lifespan(
        components=components, services={}, approvals=None,
        trust=made(keep_looking=kept("trust"), aclose=closing("trust")),
        edge=made(keep_sweeping=kept("edge")), counted=made(keep_writing=kept("counts")),
        sealing=made(keep_sealing=kept("seals")),
        follower=made(keep_following=kept("follower"), views="views"),
        claims=made(aclose=closing("claims")) if has_events else None,
        events=made(keep_running=kept("events"), close=closed("events")) if has_events else None,
    )  # fmt: skip

    monkeypatch.setattr(lifespan, "keep_in_force", kept("terminology"))
    for work in span._beside_the_calls("url"):
        await work()
    always = [
        "counts", "edge", "visits", "follower", "governance", "seals", "releases", "terminology", "trust",
    ]  # fmt: skip
    assert ended == [*always, "events"] if has_events else ended == always
    ended.clear()
    await span._close()
    first = ["claims", "events"] if has_events else []
    assert ended == [*first, "computing", "decisions", "trust", "tracing"]


def test_memory_is_kept_and_the_collector_looks_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    asked: list[tuple[int, int]] = []
    trimmed: list[int] = []
    library = made(mallopt=lambda *given: asked.append(given), malloc_trim=trimmed.append)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    threshold, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        gc.disable()
        settle_memory()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == 20_000
        assert gc.get_freeze_count() > frozen
        # mallopt(3): M_TRIM_THRESHOLD -1, M_MMAP_THRESHOLD -3, M_ARENA_MAX -8
        assert asked == [(-1, 64 * 1024 * 1024), (-3, 32 * 1024 * 1024), (-8, 1)]
        assert trimmed == [0]
        monkeypatch.setattr(ctypes, "CDLL", lambda _: made())
        settle_memory()
        assert len(asked) == 3
    finally:
        if not frozen:
            gc.unfreeze()
        gc.set_threshold(*threshold)
        gc.enable()


def test_the_rules_of_a_site_are_used_with_the_policies_of_its_payer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cards.coverage import store

    used: list[Any] = []
    monkeypatch.setattr("cds_hooks.packages.use_site_rules", used.append)
    monkeypatch.setattr(store, "govern_own_policies", lambda: used.append("policies"))
    use_rules_of_site(None)
    use_rules_of_site(tmp_path)
    (tmp_path / "coverage").write_text("no folder")
    use_rules_of_site(tmp_path)
    (tmp_path / "coverage").unlink()
    (tmp_path / "coverage").mkdir()
    use_rules_of_site(tmp_path)
    assert used == [None, tmp_path, tmp_path, tmp_path, "policies"]


# Counts


def test_every_kind_of_count_has_its_labels() -> None:
    metrics = Metrics()
    metrics.refused("s", 412)
    metrics.refused_client("c", "s", "h", "r")
    metrics.untrusted("expired")
    metrics.connection_accepted()
    metrics.edge_refused("slow")
    metrics.outbound("c", "fhir", "timeout")
    metrics.feedback("s", "accepted")
    metrics.unmatched_feedback("s", "unknown-card")
    metrics.outcome("death", "yes")
    metrics.refused_outcome("no-decision")
    metrics.prefetched("c", "s", "labs=given tests=null", 0.0)
    metrics.prefetched("c", "s", "labs=given tests=null", 0.3)
    assert dict(metrics.counts) == {
        ("cds_requests", "s", "", "412"): 1, ("cds_refused", "c", "s", "h", "r"): 1, ("cds_untrusted", "expired"): 1,
        ("cds_connections",): 1, ("cds_edge_refused", "slow"): 1, ("cds_outbound", "c", "fhir", "timeout"): 1,
        ("cds_feedback", "s", "accepted"): 1, ("cds_feedback_unmatched", "s", "unknown-card"): 1,
        ("cds_outcomes", "death", "yes"): 1, ("cds_outcomes_refused", "no-decision"): 1,
        ("cds_prefetch", "c", "s", "labs=given tests=null"): 2,
    }  # fmt: skip
    ((_, fetched),) = metrics.fetches.items()
    assert (sum(fetched.counts), fetched.total) == (1, 0.3)


def test_a_page_has_the_sum_of_counts_and_the_highest_of_states() -> None:
    first = Snapshot(
        counts=[(("cds_prefetch", "c", "s", "labs=given tests=null"), 2), (("cds_connections",), 1)],
        record_failures=2, seal_failures=1, sealed_at=40.0, models_out=["m"],
        in_force=[("pending", 5), ("switches", 1)], incidents=[("lab", "late", "high")], queues=[("care", 3, 60.0)],
    )  # fmt: skip
    second = Snapshot(
        counts=[(("cds_prefetch", "c", "s", "labs=given"), 3), (("cds_connections",), 4)],
        record_failures=3, seal_failures=4, sealed_at=50.0, in_force=[("pending", 7)],
        queues=[("care", 2, 61.5)],
    )  # fmt: skip
    lines = set(page_of([first, second]).decode().splitlines())
    wanted = {
        "cds_connections_total 5.0", "cds_record_failures_total 5.0", "cds_seal_failures_total 5.0",
        "cds_sealed_until_timestamp_seconds 50.0", 'cds_model_out{model="m"} 1.0',
        'cds_interface_incident{feed="lab",kind="late",severity="high"} 1.0', 'cds_in_force{what="pending"} 7.0',
        'cds_events_waiting{queue="care"} 3.0', 'cds_events_oldest_seconds{queue="care"} 61.5',
        'cds_in_force{what="switches"} 1.0', 'cds_prefetch_total{client="c",key="labs",service="s",state="given"} 5.0',
        'cds_prefetch_total{client="c",key="tests",service="s",state="null"} 2.0',
    }  # fmt: skip
    assert wanted - lines == set()
    assert not any(line.startswith("cds_sealed_until") for line in page_of([Snapshot()]).decode().splitlines())
    # As of two workers: both are this process, whose start is told once and whose memory is counted twice.
    once, twice = (
        dict(line.split(" ") for line in page_of([], pids).decode().splitlines() if line.startswith("process_"))
        for pids in ([os.getpid()], [os.getpid(), os.getppid()])
    )
    assert float(twice["process_start_time_seconds"]) <= float(once["process_start_time_seconds"])
    assert float(twice["process_resident_memory_bytes"]) > float(once["process_resident_memory_bytes"])


def test_a_worker_is_a_process_of_this_parent() -> None:
    assert _parent_of(os.getpid()) == os.getppid()
    assert _parent_of(2**22 + 1) is None
    assert workers_of(os.getppid(), [os.getpid(), 2**22 + 1, os.getppid()]) == [os.getpid()]


# Content of the record


@pytest.fixture(autouse=True)
def _no_keys_afterwards() -> Iterator[None]:
    yield
    use_content_keys(ContentKeys())


OLD, NEW = "11" * 32, "22" * 32


def test_keys_for_content_are_lines_of_64_digits_and_the_first_encrypts(tmp_path: Path) -> None:
    keys = read_content_keys(f"{NEW}\n{OLD}\n")
    assert list(keys.keys.values()) == [b"\x22" * 32, b"\x11" * 32]
    assert keys.newest == next(iter(keys.keys))
    assert read_content_keys("").newest is None
    wrong = "is wrong: a key for the record's content is 64 hexadecimal digits, one key a line"
    for text, number in ((f"{OLD} {OLD}1", 2), ("x" * 64, 1), (OLD[:62], 1)):
        with pytest.raises(ContentUnreadable, match=f"^key {number} {wrong}$"):
            read_content_keys(text)
    assert key_text(None) == ""
    (tmp_path / "keys").write_text(f"{OLD}\n")
    assert key_text(tmp_path / "keys") == f"{OLD}\n"
    (tmp_path / "bad").write_bytes(b"\xff")
    for name in ("bad", "nowhere"):
        with pytest.raises(ContentUnreadable, match=r"^the keys for the record's content cannot be read$"):
            key_text(tmp_path / name)
    (tmp_path / "short").write_text("11")
    with pytest.raises(RecordUnavailable, match=f"^{tmp_path / 'short'}: key 1 {wrong}$"):
        use_site_keys(Settings(content_keys=tmp_path / "short"))


def test_content_is_read_with_its_key_only_and_as_it_was_encrypted() -> None:
    assert [store_content(value) for value in (b"[]", b"{}")] == [b"[]", b"{}"]
    use_content_keys(read_content_keys(OLD))
    assert [store_content(value) for value in (b"[]", b"{}")] == [b"[]", b"{}"]
    stored = store_content(b'{"a": 1}')
    assert stored[0] == 1
    use_content_keys(read_content_keys(f"{NEW} {OLD}"))
    assert load_content(stored) == b'{"a": 1}'
    assert store_content(b"x")[1:5] != stored[1:5]
    with pytest.raises(ContentUnreadable, match=r"^content of the record was changed after it was encrypted$"):
        load_content(stored[:-1] + bytes([stored[-1] ^ 1]))
    use_content_keys(read_content_keys(NEW))
    missing = "^content of the record is encrypted with a key that is not among CDS_CONTENT_KEYS$"
    with pytest.raises(ContentUnreadable, match=missing):
        load_content(stored)


def test_a_frame_that_states_too_much_or_is_broken_is_not_read() -> None:
    import zstandard

    # RFC 8878: magic, a descriptor with a content size of 8 bytes in one segment, the size, and one empty block.
    for size, text in (
        (256 * 1024 * 1024 + 1, "a stored value states a size that the server never writes"),
        (256 * 1024 * 1024, "content of the record cannot be decompressed"),
    ):
        frame = b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + b"\x01\x00\x00"
        with pytest.raises(ContentUnreadable, match=f"^{text}$"):
            load_content(frame)
    assert load_content(zstandard.ZstdCompressor().compress(b"plain")) == b"plain"
    of_another = b"\x28\xb5\x2f\xfd\x63\x63\x63\x63\x63\x05\x01\x00\x00"
    with pytest.raises(ContentUnreadable, match=r"^content of the record cannot be decompressed$"):
        load_content(of_another)


def test_users_are_hashed_with_the_newest_key_and_found_with_all(tmp_path: Path) -> None:
    assert UserNames("none", (b"k" * 32,)).recorded("c", "u") == ""
    assert UserNames("clear").recorded("c", "u") == "u"
    assert UserNames("clear").recorded("c", None) == UserNames("clear").recorded("c", "") == ""
    assert UserNames("hashed").recorded("c", "u") == ""
    file = tmp_path / "folder" / "user.keys"
    made_names = open_user_names("hashed", file)
    assert (file.stat().st_mode & 0o777, len(made_names.keys), len(made_names.keys[0])) == (0o600, 1, 32)
    assert open_user_names("hashed", file) == made_names
    assert open_user_names("clear", tmp_path / "other") == UserNames("clear")
    assert not (tmp_path / "other").exists()
    assert [path.name for path in file.parent.iterdir()] == ["user.keys"]
    file.write_text("ab" * 32 + "\n" + file.read_text())
    both = open_user_names("hashed", file)
    assert both.keys[1:] == made_names.keys
    now, then = both.recorded("c", "u"), made_names.recorded("c", "u")
    assert both.possible("c", "u") == ["u", now, then]
    key_id, _, digest = now.partition(":")
    assert (len(key_id), len(digest)) == (8, 32)
    assert len({now, both.recorded("d", "u"), both.recorded("c", "v"), then}) == 4
    file.write_text(f"{OLD}\n{NEW[:62]}\n")
    with pytest.raises(
        RecordUnavailable, match=f"^the keys for users in {file} must be lines of 64 hexadecimal digits$"
    ):
        read_user_keys(file)
    file.write_text("")
    with pytest.raises(RecordUnavailable, match=r"must be lines of 64"):
        read_user_keys(file)
    file.write_text("xx")
    with pytest.raises(RecordUnavailable, match=r"cannot be read$"):
        read_user_keys(file)
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordUnavailable, match=r"cannot be made: "):
        open_user_names("hashed", tmp_path / "file" / "user.keys")


# Models of a site


def test_a_model_is_of_the_site_or_of_the_package_and_never_of_both(tmp_path: Path) -> None:
    assert site_model("mortality_5y", tmp_path).manifest.id == "mortality_5y"
    assert site_model("mortality_5y", ARTIFACTS).manifest.id == "mortality_5y"
    with pytest.raises(UnknownModel, match=r"there is no model 'none'; there are .*mortality_5y"):
        site_model("none", tmp_path)
    for name in ("own", "mortality_5y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    own = site_model("own", tmp_path)
    assert isinstance(own, AbsentModel)
    assert (own.name, own.features) == ("own", ())
    with pytest.raises(ModelNotServed) as refused:
        _ = own.manifest
    assert refused.value.text == (
        f"The model own cannot be served, so nothing was looked at and no advice is given: {own.reason}."
    )
    twice = "^mortality_5y is also the name of a model of this package: give yours another id$"
    with pytest.raises(UnknownModel, match=twice):
        site_model("mortality_5y", tmp_path)
    configured = Settings(models_folder=tmp_path)
    assert folder_of("own", configured) == folder_of("own@2", configured) == tmp_path
    assert folder_of("mortality_5y", configured) == folder_of("none", configured) == ARTIFACTS
    assert folder_of("own", Settings()) == ARTIFACTS
    assert signing_key(Settings()) == Path("var/model-signing-key.pem")
    assert signing_key(Settings(model_signing_key=tmp_path / "k.pem")) == tmp_path / "k.pem"


# What runs beside the calls goes on after a fault.


def test_work_that_fails_begins_again_and_ends_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan, "_AGAIN_SECONDS", 0)
    tries: list[int] = []

    async def work() -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            raise RuntimeError("a fault that nobody expected")

    metrics = Metrics()
    asyncio.run(lifespan.keep_at(work, metrics))
    assert tries == [0, 1, 2]
    assert b"cds_work_failures_total 2.0" in page_of([metrics.snapshot()])
