"""The parts of the analyst's sheet by themselves: tables, cards as a client shows them, and where each comes from."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cards.card import TOPICS
from cds_hooks.commands.build_sheet import content, main
from cds_hooks.commands.build_sheet.content import SampleCall
from cds_hooks.dialects import ClientProfile, find_dialects
from cds_hooks.dialects._dialect import IntegrationSheet
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.settings import Settings

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
URL = "https://cds.example"
SHEET = IntegrationSheet("It reads nothing.", (("`iss`", "the EHR"),), ("A note.",), hook_notes={"h1": "on save"})
CLIENT: Any = SimpleNamespace(version="2.0")


def _service(name: str, hooks: tuple[str, ...], **prefetch: str) -> Any:
    entries = [{"hook": hook, "prefetch": prefetch} for hook in hooks]
    policies = dict(zip(prefetch, ("fail", "say", "omit"), strict=False))
    templates = [SimpleNamespace(key=key, policy=SimpleNamespace(if_missing=policies[key])) for key in prefetch]
    return SimpleNamespace(
        id=name, title=f"Title of {name}", description="What it does.", usage_requirements="For adults.",
        discovery=lambda *_: entries, templates_for_version=lambda _: templates,
    )  # fmt: skip


SERVICES = [
    _service("a", ("h1", "h2"), patient="Patient/{{context.patientId}}", labs="Observation?a|b"),
    _service("b", ("h2",), drugs="MedicationRequest?x", flags="Flag?y", conditions="Condition?z"),
]


def test_what_is_copied_letter_by_letter_is_code_and_a_pipe_ends_no_cell() -> None:
    rows = [("k|1", "a\nb"), ("", "c|d")]
    assert content._table(("Key", "What for"), rows) == (
        "| Key | What for |\n| --- | --- |\n| `k\\|1` | a b |\n|  | c\\|d |"
    )
    assert (content._heading(3, "x"), content._bullets(["a", "b"])) == ("### x", "- a\n- b")


def test_each_service_has_a_row_for_each_hook_and_its_words() -> None:
    assert list(content._endpoints(SERVICES, SHEET, URL, CLIENT)) == [
        "## Services",
        "| Service | Hook | Address | Trigger |\n| --- | --- | --- | --- |\n"
        f"| Title of a | h1 | `{URL}/cds-services/a` | on save |\n"
        f"| Title of a | h2 | `{URL}/cds-services/a` |  |\n"
        f"| Title of b | h2 | `{URL}/cds-services/b` |  |",
        "- `a`: What it does. For adults.\n- `b`: What it does. For adults.",
    ]


def test_each_key_says_what_happens_without_it() -> None:
    head = "| Key | Query | Without it |\n| --- | --- | --- |\n"
    assert list(content._prefetch(SERVICES, CLIENT))[3:] == [
        "### Prefetch of a",
        f"{head}| `patient` | `Patient/{{{{context.patientId}}}}` | no advice (412) |\n"
        "| `labs` | `Observation?a\\|b` | said on the card |",
        "### Prefetch of b",
        f"{head}| `drugs` | `MedicationRequest?x` | no advice (412) |\n| `flags` | `Flag?y` | said on the card |\n"
        "| `conditions` | `Condition?z` | changes no advice |",
    ]


def test_the_audiences_of_calls_come_before_those_of_feedback() -> None:
    parts = list(content._authentication(SERVICES, SHEET, URL))
    assert parts[2:] == [
        "| Claim | What it must be |\n| --- | --- |\n| ``iss`` | the EHR |",
        "| Service | Address |\n| --- | --- |\n"
        f"| aud for a | `{URL}/cds-services/a` |\n| aud for b | `{URL}/cds-services/b` |\n"
        f"| aud for feedback on a | `{URL}/cds-services/a/feedback` |\n"
        f"| aud for feedback on b | `{URL}/cds-services/b/feedback` |",
    ]


def test_scopes_are_those_of_the_queries_in_both_versions() -> None:
    parts = list(content._scopes(SERVICES[:1], SHEET, CLIENT))
    assert parts[2:] == [
        "| Service | Scopes, SMART v1 | Scopes, SMART v2 |\n| --- | --- | --- |\n"
        "| a | `user/Patient.read user/Observation.read` | `user/Patient.r user/Observation.rs` |"
    ]
    own = IntegrationSheet("", (), (), apis=("Patient.Read (R4)", "B"))
    assert list(content._scopes([], own, CLIENT))[3:] == ["And the vendor's own:", "- Patient.Read (R4)\n- B"]


def _rule(name: str, **members: Any) -> Any:
    declared = {"evidence": [], "bands": [], "missing_data": None} | members
    return SimpleNamespace(id=name, declared=SimpleNamespace(**declared), override_reasons=members.get("reasons", ()))


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rules of the book; to be filled."""
    there: list[Any] = []
    monkeypatch.setattr(content, "rule_book", lambda: SimpleNamespace(rules=there))
    return there


def test_hosts_of_links_are_named_once_and_first_our_own(rules: list[Any]) -> None:
    documents = [("https://a.example/1", "A1"), (None, "no page"), ("https://cds.example/x", "C"),
                 ("https://b.example", "B"), ("https://a.example/2", "A2")]  # fmt: skip
    rules.append(_rule("r", evidence=[SimpleNamespace(url=url, label=label) for url, label in documents]))
    assert list(content._links(URL)) == [
        "## Links that cards carry",
        "| Host | What for |\n| --- | --- |\n"
        "| `cds.example` | why a card is there: one page for each decision |\n"
        "| `a.example` | document behind a rule: A1 |\n| `b.example` | document behind a rule: B |",
    ]


def test_topics_of_findings_are_listed_where_the_vendor_has_them(rules: list[Any]) -> None:
    bands = [SimpleNamespace(id="low", indicator="critical"), SimpleNamespace(id="ok", indicator="silent")]
    rules += [_rule("r", bands=bands, missing_data=object()), _rule("s", bands=bands[:1])]
    bands_there = [("r", "low", "critical"), ("r", "missing", "info"), ("s", "low", "critical")]
    assert list(content._bands()) == bands_there
    plain: Any = SimpleNamespace(topic=None)
    lines = list(content._topics(plain))[2].splitlines()
    assert lines[2:] == [f"| `{topic.code}` | {topic.display or ''} |  |" for topic in TOPICS.values()]
    joining: Any = SimpleNamespace(
        topic=lambda code, found: "/".join((code, *(f"{rule}-{band}" for rule, band in found)))
    )
    lines = list(content._topics(joining))[2].splitlines()
    code, display = TOPICS["orders"].code, TOPICS["orders"].display
    assert f"| `{code}/r-low` | {display}: r, low | critical |" in lines
    assert f"| `{code}/s-low` | {display}: s, low | critical |" in lines
    assert not [line for line in lines if f"| `{code}` |" in line or "silent" in line or "-ok`" in line]
    assert len([line for line in lines if "/r-" in line]) == 2 * 2


CARD = {
    "summary": "A summary",
    "indicator": "warning",
    "detail": "One\n\nTwo",
    "source": {"label": "A source", "topic": {"code": "t"}},
    "links": [{"label": "Why"}, {"label": "Document"}],
    "suggestions": [
        {
            "label": "Do it",
            "isRecommended": True,
            "actions": [{"description": "create x"}, {"description": "delete y"}],
        },
        {"label": "Leave it"},
    ],
}


def test_a_card_is_a_quotation_of_what_the_client_shows() -> None:
    head = "> **△ warning: A summary**\n>\n> One\n>\n> Two\n>\n"
    foot = ">\n> Source: A source · topic t · links: Why; Document"
    labels = "> - [ Do it (create x; delete y) ] (advised)\n> - [ Leave it () ]\n"
    assert content._card(CARD, True) == f"{head}{labels}{foot}"
    assert content._card(CARD, False) == f"{head}> - [ create x; delete y ] (advised)\n> - [  ]\n{foot}"
    bare = {"summary": "S", "indicator": "info", "source": {"label": "L"}}
    assert content._card(bare, True) == "> **ⓘ info: S**\n>\n>\n>\n> Source: L"


def test_cards_are_headed_with_their_call_and_asked_for_as_the_vendor_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def sample_cards(*given: Any) -> list[list[dict[str, Any]]]:
        asked.append(given)
        return [[CARD, CARD], []]

    calls = (SampleCall("a", "h1", "p", None, "first"), SampleCall("b", "h2", "p", "d", "second"))
    monkeypatch.setattr(content, "SAMPLE_CALLS", calls)
    monkeypatch.setattr(content, "sample_cards", sample_cards)
    dialect: Any = SimpleNamespace(id="epic")
    hidden = IntegrationSheet("", (), (), shows_labels=False)
    card = content._card(CARD, False)
    parts = list(content._cards(dialect, hidden, URL, NOW))[2:]
    assert parts == ["### a at h1: first", card, card, "### b at h2: second"]
    assert asked == [("epic", NOW, URL)]


def test_cards_come_from_a_server_without_a_trust_file(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Settings] = []

    async def answers(configured: Settings, as_of: datetime) -> list[Any]:
        assert as_of == NOW
        served.append(configured)
        return []

    monkeypatch.setattr(content, "_answers", answers)
    monkeypatch.setattr(content, "settings", lambda: Settings(trust_file=Path("t"), contact="Ann"))
    assert content.sample_cards("epic", NOW, URL, "1.0") == []
    (configured,) = served
    assert (configured.dialect, configured.protocol_version, configured.as_of, configured.public_url) == (
        "epic", "1.0", NOW, URL,
    )  # fmt: skip
    assert (configured.trust_file, configured.contact) == (None, "Ann")
    assert configured.database_url.endswith("/sheet.sqlite3")


def test_a_request_is_built_from_the_chart_of_its_patient_and_the_draft() -> None:
    order = content.request_of(content.SAMPLE_CALLS[1], NOW)
    assert (order["hook"], order["context"]["patientId"]) == ("order-select", "ckd4-metformin")
    assert order["context"]["draftOrders"]["entry"][0]["resource"]["resourceType"] == "MedicationRequest"
    visit = next(call for call in content.SAMPLE_CALLS if call.visit)
    told, without = (content.request_of(call, NOW) for call in (visit, SampleCall(**{
        **{name: getattr(visit, name) for name in SampleCall.__dataclass_fields__}, "visit": False})))  # fmt: skip
    assert "ckd3b-metformin-visit" in str(told)
    assert "ckd3b-metformin-visit" not in str(without)
    assert content._visit("p", NOW) == {
        "resourceType": "Encounter", "id": "p-visit", "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "subject": {"reference": "Patient/p"}, "period": {"start": "2026-11-20T09:00:00+00:00"},
    }  # fmt: skip


def test_the_sheet_has_its_parts_in_order_and_leaves_out_what_the_client_is_too_old_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(content, "sample_cards", lambda *_: [[] for _ in content.SAMPLE_CALLS])
    new = _service("new", ())
    asked: list[Any] = []

    def discovery(client: Any) -> list[Any]:
        asked.append(client)
        return []

    new.discovery = discovery
    epic = find_dialects()["epic"]
    parts = list(content.sheet_parts(epic, SHEET, [*SERVICES, new], URL, NOW))
    assert parts[:2] == [
        f"# CDS Hooks build sheet: {epic.title}",
        f"For the analyst who sets the services of {URL} up. It reads nothing.",
    ]
    assert [part for part in parts if part.startswith("## ")] == [
        "## Services", "## Prefetch", "## The token of each call (JWT)",
        "## Scopes of the access token (`fhirAuthorization`)", "## Links that cards carry",
        "## Topic codes (`source.topic.code`)", "## Override reasons", f"## What is particular to {epic.title}",
        "## What the cards look like",
    ]  # fmt: skip
    assert "- A note." in parts
    assert not [part for part in parts if "Title of new" in part]
    assert asked == [ClientProfile("sheet", epic, epic.version, epic.markdown)]


def _run(*words: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(main.build_sheet)
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.stdout, done.stderr


def test_the_sheet_is_of_the_address_that_is_named_or_set_and_of_the_day_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []
    configured = SimpleNamespace(public_url="https://set.example/cds/", as_of=NOW)

    def sheet_parts(_: Any, __: Any, services: Any, address: str, as_of: datetime) -> list[str]:
        asked.append((list(services), address, as_of))
        return ["# One", "two"]

    monkeypatch.setattr(main, "settings", lambda: configured)
    monkeypatch.setattr(main, "services_for", lambda _: {"a": "service a"})
    monkeypatch.setattr(main, "sheet_parts", sheet_parts)
    assert _run("--for", "epic") == (0, "# One\n\ntwo\n", "")
    assert _run("--for", "epic", "--url", "https://other.example/") == (0, "# One\n\ntwo\n", "")
    configured.as_of = None
    began = datetime.now(UTC)
    out = tmp_path / "a" / "b"
    written = f"{out}/build-sheet-epic.md\n{out}/build-sheet-epic.html\n"
    assert _run("--for", "epic", "--out", out) == (0, written, "")
    assert (out / "build-sheet-epic.md").read_text() == "# One\n\ntwo\n"
    assert "<h1>One</h1>" in (out / "build-sheet-epic.html").read_text()
    assert asked[:2] == [
        (["service a"], "https://set.example/cds", NOW), (["service a"], "https://other.example", NOW)
    ]  # fmt: skip
    assert began <= asked[2][2] <= datetime.now(UTC)
    (out / "build-sheet-epic.md").unlink()
    (out / "build-sheet-epic.md").mkdir()
    code, shown, errors = _run("--for", "epic", "--out", out)
    assert (code, shown, errors.startswith(f"{out}/build-sheet-epic.md cannot be written: ")) == (2, "", True)

    def wrong(_: Any) -> None:
        raise WrongDeclaration("hooks.toml: no name")

    monkeypatch.setattr(main, "services_for", wrong)
    assert _run("--for", "epic") == (2, "", "hooks.toml: no name\n")
