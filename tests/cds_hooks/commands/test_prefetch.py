"""`cds-hooks services --prefetch-rates`: what clients send, what is fetched, and what that takes."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.build_sheet import as_html
from cds_hooks.cli import app
from cds_hooks.dialects import find_dialects, profile_for
from cds_hooks.monitor.prefetch_rates import KeyRates
from cds_hooks.services import find_services
from tests.cds_hooks.dialects.sent import every_card
from tests.cds_hooks.storage.samples import a_decision, store
from tests.program import run_program

LABS: dict[str, Any] = {"state": "fetched", "milliseconds": 100.0}


def _basis(fetch: float, **prefetch: Any) -> bytes:
    return json.dumps({"timings": {"fetch": fetch}, "prefetch": prefetch}).encode()


ROWS = [
    ("b", "s", _basis(0.0, patient="given")),
    ("a", "s", _basis(130.0, patient="given", labs=LABS, flags={"state": "unobtainable", "reason": "timeout"})),
    ("a", "s", _basis(230.0, patient="null", labs=LABS | {"milliseconds": 200.0},
                      flags={"state": "failed", "reason": "status", "milliseconds": 9.0})),
    ("a", "s", _basis(0.0, patient="given", labs="given", flags={"state": "unobtainable", "reason": "timeout"})),
    ("a", "t", b'{"timings": {}}'),
]  # fmt: skip


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    store(address, *(a_decision(client=client, service=service, basis=basis) for client, service, basis in ROWS))
    return address


def _run(url: str, *words: str, columns: str = "100") -> tuple[int, str, str]:
    done = run_program("services", "--prefetch-rates", "--database", url, *words, environment={"COLUMNS": columns})
    return done.returncode, done.stdout, done.stderr


A_SAYS = "a sends 1 of 3 keys of s; fetching costs 180 ms."
B_SAYS = "b sends 1 of 1 keys of s; nothing is fetched."


def test_each_key_is_a_row_with_its_shares_and_times(url: str) -> None:
    code, shown, errors = _run(url)
    assert (code, errors) == (0, "")
    assert [" ".join(line.split()) for line in shown.splitlines() if line.strip(" ─")] == [
        "a → s: 3 calls", "key sent null failed fetched missing ms p95 why not", "patient 67% 33%",
        "labs 33% 67% 150 195", "flags 33% 67% 9 9 timeout 2, status 1", A_SAYS, "b → s: 1 call",
        "key sent null failed fetched missing ms p95 why not", "patient 100%", B_SAYS,
    ]  # fmt: skip
    assert "fetched  missing " in _run(url, columns="64")[1], "in a narrow window only the reasons are folded"


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        ((), {"a": 3, "b": 1}),
        (("--client", "a"), {"a": 3}),
        (("--service", "s"), {"a": 3, "b": 1}),
        (("--service", "t"), {}),
        (("--client", "b", "--service", "s"), {"b": 1}),
        (("--limit", "1"), {}),
        (("--limit", "2"), {"a": 1}),
        (("--limit", "4"), {"a": 3}),
    ],
)
def test_the_newest_of_a_client_and_a_service_are_counted(url: str, words: tuple[str, ...], calls: Any) -> None:
    assert {row["client"]: row["calls"] for row in json.loads(_run(url, *words, "--json")[1])} == calls


def test_where_nothing_is_known_that_is_said(url: str, tmp_path: Path) -> None:
    nothing = "No decision in the record says what its call brought.\n"
    assert _run(url, "--service", "t") == (0, nothing, "")
    code, shown, errors = _run(f"sqlite:///{tmp_path}/none.sqlite3")
    assert (code, shown, errors.startswith("There is no record at "), errors[-2:]) == (1, "", True, ".\n")


@pytest.mark.parametrize(
    ("states", "is_sent"),
    [
        ({"given": 1, "fetched": 1}, True),
        ({"null": 1, "failed": 1}, True),
        ({"given": 1, "null": 1, "unobtainable": 2}, True),
        ({"given": 1, "fetched": 2}, False),
        ({"failed": 1}, False),
    ],
)
def test_a_key_is_sent_where_it_comes_in_at_least_half_of_the_calls(states: dict[str, int], is_sent: bool) -> None:
    key = KeyRates("labs")
    key.states.update(states)
    assert (key.is_sent, key.calls) == (is_sent, sum(states.values()))


VENDORS = [name for name, dialect in find_dialects().items() if dialect.sheet is not None]
ADDRESS = "https://cds.hospital.example"


def _build_sheet_run(*arguments: str) -> Result:
    """The command as typed after `cds-hooks services --build-sheet`."""
    return CliRunner().invoke(app, ["services", "--build-sheet", *arguments, "--url", ADDRESS])


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sheets of every vendor."""
    folder = tmp_path_factory.mktemp("sheets")
    for vendor in VENDORS:
        done = _build_sheet_run(vendor, "--out", str(folder))
        assert done.exit_code == 0, done.output
    return folder


def test_there_is_a_sheet_for_epic_and_for_oracle() -> None:
    assert VENDORS == ["epic", "oracle"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_service_has_its_address_its_prefetch_and_its_audience(sheets: Path, vendor: str) -> None:
    text = (sheets / f"build-sheet-{vendor}.md").read_text()
    for service in find_services().values():
        offered = service.discovery(profile_for("x", vendor))
        assert (f"`{ADDRESS}/cds-services/{service.id}`" in text) == bool(offered)
        for entry in offered:
            for key, query in entry["prefetch"].items():
                assert f"| `{key}` | `{query.replace('|', chr(92) + '|')}` |" in text


@pytest.mark.parametrize("vendor", VENDORS)
def test_scopes_links_reasons_and_token_facts_are_there(sheets: Path, vendor: str) -> None:
    text = (sheets / f"build-sheet-{vendor}.md").read_text()
    for piece in (
        "user/Observation.read",
        "user/Observation.rs",
        "user/Patient.r ",
        "`cds.hospital.example`",
        "`patient-ineligible`",
        "| `aud` |",
        "| `iss` |",
    ):
        assert piece in text, piece


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_card_of_the_samples_is_drawn(sheets: Path, vendor: str) -> None:
    text = (sheets / f"build-sheet-{vendor}.md").read_text()
    for card in every_card(vendor):
        for suggestion in card.get("suggestions", ()):
            assert suggestion["actions"][0]["description"] in text
    assert text.count("> **") >= len(every_card(vendor))


class _Balance(HTMLParser):
    """Whether every tag that is opened is closed, and nothing is loaded."""

    _VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._VOID:
            self.open.append(tag)
        self.loaded += [name for name, _ in attrs if name in ("src", "onclick", "style")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "code":
            self.cells.append(data)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_html_says_the_same_and_loads_nothing(sheets: Path, vendor: str) -> None:
    page = _Balance()
    page.feed((sheets / f"build-sheet-{vendor}.html").read_text())
    assert (page.open, page.loaded) == ([], [])
    for service in find_services().values():
        for entry in service.discovery(profile_for("x", vendor)):
            assert set(entry["prefetch"].values()) <= set(page.cells)


def test_without_a_folder_the_markdown_is_printed() -> None:
    done = _build_sheet_run("oracle")
    assert done.exit_code == 0
    assert done.stdout.startswith("# CDS Hooks build sheet: Oracle Health")


@pytest.mark.parametrize("vendor", ["standard", "sandbox", "cerner", ""])
def test_another_vendor_is_refused_with_those_there_are(vendor: str) -> None:
    done = _build_sheet_run(vendor)
    assert done.exit_code == 2
    assert "there are epic, oracle" in done.output


def test_what_is_not_ours_stays_text_in_the_html() -> None:
    page = as_html("<t>", "## <b>\n\na `x|y` <i>\n\n| Key |\n| --- |\n| `a\\|b` |\n")
    assert "<code>a|b</code>" in page
    for tag in ("<b>", "<i>", "<t>"):
        assert tag not in page


def test_the_table_of_override_reasons_has_the_headings_of_a_card(sheets: Path) -> None:
    assert "| Code | Card | System |" in (sheets / "build-sheet-epic.md").read_text()
