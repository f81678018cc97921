"""The analyst's sheet: everything that is typed in stands in it, and what stands in it is so."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.build_sheet import as_html
from cds_hooks.cli import app
from cds_hooks.dialects import find_dialects, profile_for
from cds_hooks.services import find_services
from tests.cds_hooks.dialects.sent import every_card

VENDORS = [name for name, dialect in find_dialects().items() if dialect.sheet is not None]
ADDRESS = "https://cds.hospital.example"


def _run(*arguments: str) -> Result:
    """The command as typed after `cds-hooks services --build-sheet`."""
    return CliRunner().invoke(app, ["services", "--build-sheet", *arguments, "--url", ADDRESS])


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sheets of every vendor."""
    folder = tmp_path_factory.mktemp("sheets")
    for vendor in VENDORS:
        done = _run(vendor, "--out", str(folder))
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
    done = _run("oracle")
    assert done.exit_code == 0
    assert done.stdout.startswith("# CDS Hooks build sheet: Oracle Health")


@pytest.mark.parametrize("vendor", ["standard", "sandbox", "cerner", ""])
def test_another_vendor_is_refused_with_those_there_are(vendor: str) -> None:
    done = _run(vendor)
    assert done.exit_code == 2
    assert "there are epic, oracle" in done.output


def test_what_is_not_ours_stays_text_in_the_html() -> None:
    page = as_html("<t>", "## <b>\n\na `x|y` <i>\n\n| Key |\n| --- |\n| `a\\|b` |\n")
    assert "<code>a|b</code>" in page
    for tag in ("<b>", "<i>", "<t>"):
        assert tag not in page


def test_the_table_of_override_reasons_has_the_headings_of_a_card(sheets: Path) -> None:
    assert "| Code | Card | System |" in (sheets / "build-sheet-epic.md").read_text()
