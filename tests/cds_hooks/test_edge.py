"""The protocol of the server: connections that were kept, and what of an answer is written at once."""

import atexit
import gc
import resource
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer
from pydantic import ValidationError

from cards.rules.language.rule import RuleError
from cds_hooks import cli
from cds_hooks.dialects import UnknownDialect
from cds_hooks.edge import (
    EdgeLimits,
    HeadWithBody,
    _answer,
    connections_within,
    raise_descriptor_limit,
)
from cds_hooks.hold_back.governance import ReviewedRule, RulesFileError, read_review
from cds_hooks.hold_back.releases import Released, State
from cds_hooks.model_versions import Chosen, ModelVersion, ModelVersions, why_not_comparable
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.tracing import TracingUnavailable
from models_onnx.errors import ArtifactRefused, DeclarationError
from tests.each import for_rows

# The bounds of connections, versions of models and the program's last words, each by itself.
INFINITE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "wanted", "most"), [(1000, 10_000, 750), (1000, 700, 700), (1, 10, 1), (INFINITE, 10_000, 10_000)]
)
def test_connections_take_three_quarters_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, wanted: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert connections_within(wanted) == most


@pytest.mark.parametrize(
    ("soft", "hard", "changed"),
    [
        (1024, INFINITE, (65_536, INFINITE)),
        (1024, 4096, (4096, 4096)),
        (1024, 100_000, (65_536, 100_000)),
        (4096, 4096, None),
        (65_536, INFINITE, None),
        (INFINITE, INFINITE, None),
    ],
)
def test_a_process_may_open_as_many_files_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, changed: tuple[int, int] | None
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: calls.append(limits))
    raise_descriptor_limit()
    assert calls == ([changed] if changed is not None else [])


class _Connection:
    """A connection as far as the limits know it."""

    def __init__(self, since: float, *, is_waiting: bool = True) -> None:
        self.since, self.is_waiting, self.is_cut = since, is_waiting, False
        self.swept: list[float] = []

    def cut(self) -> None:
        self.is_cut = True

    def sweep(self, now: float) -> None:
        self.swept.append(now)


def test_where_there_are_too_many_connections_the_oldest_that_waits_is_closed() -> None:
    counted: list[str] = []
    accepted: list[int] = []
    limits = EdgeLimits(3, 1, 1, counted.append, accepted=lambda: accepted.append(1))
    busy, young, old = _Connection(0, is_waiting=False), _Connection(2), _Connection(1)
    for connection in (busy, young, old):
        assert limits.take(cast("Any", connection))
    assert limits.take(cast("Any", _Connection(3)))
    assert [connection.is_cut for connection in (busy, young, old)] == [False, False, True]
    assert (counted, len(accepted)) == (["connections"], 4)
    full = EdgeLimits(1, 1, 1)
    assert full.take(cast("Any", busy))
    assert not full.take(cast("Any", _Connection(4)))
    many = EdgeLimits(32, 1, 1)
    waiting = [_Connection(number) for number in range(32)]
    for connection in waiting:
        many.take(cast("Any", connection))
    many.take(cast("Any", _Connection(99)))
    assert [connection.since for connection in waiting if connection.is_cut] == [0, 1, 2]


class _Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, parts: Any) -> None:
        self.written.append(b"".join(parts))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


def test_a_head_is_written_with_the_first_part_of_its_body() -> None:
    transport = _Transport()
    answer = HeadWithBody(cast("Any", transport))
    answer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    answer.write(b"head")
    assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    answer.write(b"body")
    answer.write(b"more")
    assert transport.written[1:] == [b"headbody", b"more"]
    assert not answer.is_closing()
    answer.close()
    assert answer.is_closing()
    assert transport.written[1:] == [b"headbody", b"more"]
    alone = _Transport()
    head_only = HeadWithBody(cast("Any", alone))
    head_only.write(b"head")
    head_only.close()
    assert alone.written == [b"head"]
    unused = _Transport()
    HeadWithBody(cast("Any", unused)).close()
    assert (unused.written, unused.is_closed) == ([], True)
    text = _answer(431, "Too Large", "What to do.", "id").decode()
    head, body = text.split("\r\n\r\n")
    assert head.splitlines()[0] == "HTTP/1.1 431 Too Large"
    assert f"Content-Length: {len(body)}" in head
    assert "x-call-id: id" in head


# Versions of models


def model(name: str = "m", sha256: str = "a", **changed: Any) -> Any:
    members = {"id": name, "population": "p", "outcome": "o", "twin": None, "file": SimpleNamespace(sha256=sha256)}
    features = changed.pop("features", ("x",))
    return SimpleNamespace(manifest=SimpleNamespace(**(members | changed)), features=features)


class _Keyed:
    """A model that can be a key."""

    def __init__(self, name: str, sha256: str) -> None:
        self.__dict__.update(vars(model(name, sha256)))


def keyed(name: str, sha256: str) -> Any:
    return _Keyed(name, sha256)


OURS, SECOND, THIRD = keyed("m", "a"), keyed("m", "b"), keyed("m", "c")
VERSIONS = ModelVersions({OURS: (ModelVersion("m@3", THIRD), ModelVersion("m@2", SECOND))})


@for_rows(
    ("states", "withheld", "chosen"),
    [
        ({}, (), Chosen(OURS)),
        ({"m@2": State("shadow", version="b")}, (), Chosen(OURS, (SECOND,))),
        ({"m@2": State("active", version="b")}, (), Chosen(SECOND)),
        ({"m@2": State("active", version="x")}, (), Chosen(OURS, (SECOND,))),
        ({"m@2": State("active", version="b")}, (SECOND,), Chosen(OURS, (SECOND,))),
        ({"m@2": State("off", version="b")}, (), Chosen(OURS)),
        ({"m@2": State("retired", version="b")}, (), Chosen(OURS)),
        ({"m@2": State("canary", share=100, salt="ab", version="b")}, (), Chosen(SECOND, (OURS,))),
        ({"m@2": State("canary", share=0, salt="ab", version="b")}, (), Chosen(OURS, (SECOND,))),
        ({"m@2": State("active", version="b"), "m@3": State("active", version="c")}, (), Chosen(THIRD, (SECOND,))),
        ({"m@2": State("active", version="b"), "m@3": State("shadow", version="c")}, (), Chosen(SECOND, (THIRD,))),
    ],
)
def test_which_version_answers_and_which_are_computed_beside_it(
    states: dict[str, State], withheld: tuple[Any, ...], chosen: Chosen
) -> None:
    released = Released({("model", name): state for name, state in states.items()})
    choose = VERSIONS.chooser(released, "ehr", "p1", lambda one: "why" if one in withheld else None)
    assert choose(OURS) == chosen
    assert choose(SECOND) == Chosen(SECOND)


@for_rows(
    ("changed", "why"),
    [
        ({}, None),
        ({"name": "n"}, "another model"),
        ({"features": ("x", "y")}, "other inputs"),
        ({"population": "q"}, "other population"),
        ({"outcome": "q"}, "other outcome"),
        ({"twin": "t"}, "another model for fewer values"),
    ],
)
def test_a_version_takes_the_place_of_a_model_for_the_same_people(changed: dict[str, Any], why: str | None) -> None:
    assert why_not_comparable(model(), model(**changed)) == why


# The program


def _ended(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[Any, str]:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "_warn_of_settings", lambda: None)
    monkeypatch.setattr(cli, "_use_site_rules", lambda: None)
    monkeypatch.setattr(atexit, "register", lambda _: None)
    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code, capsys.readouterr().err.strip()


def test_what_ends_the_program_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with pytest.raises(ValidationError) as wrong:
        Settings(call_seconds=0)
    code, text = _ended(wrong.value, monkeypatch, capsys)
    assert (code, text) == (2, "CDS_CALL_SECONDS: Input should be greater than 0")
    ends = {
        DeclarationError("x"): (1, "A file that declares something cannot be used: x"),
        ArtifactRefused("x"): (1, "A model cannot be used: x"),
        RecordUnavailable("x"): (1, "The record of decisions cannot be used: x"),
        TracingUnavailable("x"): (2, "OTEL_EXPORTER_OTLP_ENDPOINT cannot be used: x"),
        UnknownDialect("x"): (2, "CDS_DIALECT cannot be used: x"),
        FileNotFoundError(2, "No such file", "a.txt"): (1, None),
    }
    for error, (expected, sentence) in ends.items():
        code, text = _ended(error, monkeypatch, capsys)
        assert code == expected
        assert sentence is None or text == sentence
    code, text = _ended(RuleError("x"), monkeypatch, capsys)
    assert (code, text) == (1, "A medication rule cannot be used: x")
    monkeypatch.setattr(cli, "app", lambda: (_ for _ in ()).throw(RuntimeError("a fault")))
    with pytest.raises(RuntimeError, match="a fault"):
        cli.main()


def test_garbage_is_left_at_the_end_unless_duckdb_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(1))
    monkeypatch.delitem(sys.modules, "duckdb", raising=False)
    cli._leave_garbage()
    monkeypatch.setitem(sys.modules, "duckdb", cast("Any", SimpleNamespace()))
    cli._leave_garbage()
    assert frozen == [1]
    with pytest.raises(typer.Exit):
        cli._print_version(True)


def test_a_list_to_review_names_rules_with_their_versions() -> None:
    assert read_review("# x\n\nr 1\ns 2 | read it | twice\n") == [
        ReviewedRule("r", "1"), ReviewedRule("s", "2", "read it | twice"),
    ]  # fmt: skip
    for text, fault in (
        ("", "names no rule"),
        ("# x\n", "names no rule"),
        ("r\n", "line 1"),
        ("r 1\nr 1 2\n", "line 2"),
    ):
        with pytest.raises(RulesFileError, match=fault):
            read_review(text)
