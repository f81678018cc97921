"""What the documentation says is true: its commands run, its links lead somewhere, nothing is left out."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

from cds_hooks.call.services import find_services
from cds_hooks.people.pages.documentation.views import chapters, read_page
from cds_hooks.settings import SETTINGS
from models_onnx.serving.registry import model_ids
from tests.cards.sentences import BRITISH
from tests.conftest import ROOT
from tests.each import for_rows
from tests.live import SHIPPED, serving
from tests.program import run_program

# The pages that are committed; `documentation` has those, too, that are made from the code.
PAGES = [ROOT / "README.md"] + [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "docs/*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
]
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#]*)(#[^)]*)?\)")


def _commands() -> list[str]:
    lines = [
        line.strip() for page in PAGES for block in _BLOCK.findall(page.read_text()) for line in block.splitlines()
    ]
    return sorted({line for line in lines if line and not line.startswith("#")})


def _text(documentation: Path) -> str:
    return "\n".join(page.read_text() for page in documentation.rglob("*.md"))


PROGRAM = ".venv/bin/cds-hooks"
_OTHER_PEOPLES_DATA = "../shared/data/"
ELSEWHERE = {
    f"{PROGRAM} check": "the whole kit: tests/cds_hooks/tools/kit/contract/test_own_server.py",
    f"{PROGRAM} check --quick": "as a tester types it: tests/test_reader_pages.py",
    f"{PROGRAM} check --only SEC --rows": "part of the whole kit; --rows: test_command.py of the kit",
    f"{PROGRAM} check --only FHIR-03,PRE-13 --fhir-host 127.0.0.1": "part of the whole kit",
    f"{PROGRAM} check --dialect epic --only EPIC": "as another caller: test_own_server.py, too",
}


@pytest.fixture(scope="module")
def server(server_folder: Path) -> Iterator[str]:
    """The address of a server with the settings that a reader has who follows a page."""
    with serving(server_folder, CDS_SERVICES=SHIPPED) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [each for each in _commands() if each.startswith(f"{PROGRAM} ") and each not in ELSEWHERE]
)
def test_every_command_of_the_documentation_runs(
    command: str, server: str, server_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if _OTHER_PEOPLES_DATA in command:
        command = command.replace(_OTHER_PEOPLES_DATA, f"{request.getfixturevalue('data_folder')}/")
    # "> docs/page.md" writes a made page again; what is printed is compared with the page by another test.
    _, *words = shlex.split(command.partition(" > ")[0].replace(" var/", f" {tmp_path}/"))
    database = f"sqlite:///{server_folder}/decisions.sqlite3"
    environment = {"CDS_PUBLIC_URL": server, "CDS_DATABASE_URL": database, "CDS_SERVICES": SHIPPED}
    done = run_program(*words, folder=ROOT, environment=environment)
    # with --against 1 says that a card is more, fewer or another: that of the README's metformin call, if made
    assert done.returncode == 0 or ("--against" in words and "decisions computed twice" in done.stdout), done.stderr


@for_rows("command", [each for each in _commands() if each.startswith("make ")])
def test_every_make_target_of_the_documentation_exists(command: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command.split()[1] in targets


def test_no_command_of_the_documentation_is_of_a_kind_that_nobody_checks() -> None:
    checked = (
        f"{PROGRAM} ",
        "make ",
        "docker ",
        "podman ",
        "buildah ",
        ".venv/bin/python -m maintenance.",
        ".venv/bin/python -m tests.cards.rules.confirm ",
        ".venv/bin/python -m tests.pinned_answers ",
    )  # each kind that a guide names is one: tests/adding/test_guides.py
    # the notebook is run cell by cell, in a folder of its own: tests/adding/test_notebook.py
    notebook = (ROOT / "docs" / "adding" / "model.md").read_text().partition("## 4. The service")[0].splitlines()
    # tests/operations/test_renewal.py runs this page
    notebook += (ROOT / "docs" / "operations" / "renewal.md").read_text().splitlines()
    unchecked = [command for command in _commands() if not command.startswith(checked)]
    assert [command for command in unchecked if command not in notebook] == []


def test_every_link_leads_to_a_page_and_its_heading(documentation: Path) -> None:
    wrong = []
    for source in (page for pages in chapters(documentation).values() for page in pages):
        for link, heading in _LINK.findall((documentation / source).read_text()):
            target = PurePosixPath(os.path.normpath(source.parent / link)) if link else source
            file = documentation / target
            if not file.is_file() or (heading and f'id="{heading[1:]}"' not in _html(documentation, target)):
                wrong.append(f"docs/{source}: {link}{heading} leads nowhere")
    assert wrong == []


@cache
def _html(documentation: Path, source: PurePosixPath) -> str:
    return read_page(documentation, source)


def test_every_path_of_the_architecture_page_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    paths = re.findall(r"`((?:cds_hooks|cards|models_onnx|fhir)/[\w/]+(?:\.py|/))`", page)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_page_is_in_the_contents_once_and_has_a_title(documentation: Path) -> None:
    listed = [page for pages in chapters(documentation).values() for page in pages.items()]
    pages = [PurePosixPath(path.relative_to(documentation).as_posix()) for path in documentation.rglob("*.md")]
    assert sorted(page for page, _ in listed) == sorted(pages)
    assert [page for page, title in listed if not title] == []


def test_every_setting_service_and_model_is_documented(documentation: Path) -> None:
    text = _text(documentation)
    names = [*(f"CDS_{name.upper()}" for name in SETTINGS), *find_services(), *model_ids()]
    assert [name for name in names if f"`{name}`" not in text] == []


MOST_WORDS = 50_000
"""Of all pages that are written by hand, code and tables included."""
_FENCED = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(r"\s*(?:[-*]|\d+\.)\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?:])[\"”)*]*\s+(?=[A-Z`\"“*\[(])")


def _paragraphs(text: str) -> Iterator[str]:
    """Yield each paragraph and each item of a list, without code, tables, headings and addresses of links."""
    for block in re.split(r"\n\s*\n", _FENCED.sub("\n\n", text)):
        lines = [line for line in block.splitlines() if line.strip() and not re.match(r"\s*(\||#|!\[)|    ", line)]
        parts: list[str] = []
        for line in lines:
            if parts and not _ITEM.match(line):
                parts[-1] += f" {line.strip()}"
            else:
                parts.append(_ITEM.sub("", line, count=1))
        yield from (re.sub(r"\]\([^)]*\)", "]", part) for part in parts)


def test_the_pages_are_short_and_their_sentences_too() -> None:
    texts = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
    assert sum(len(text.split()) for text in texts.values()) <= MOST_WORDS
    assert len(texts["README.md"].split()) < 900
    assert [name for name, text in texts.items() if "/decisions/" in name and len(text.split()) > 600] == []
    paragraphs = [(name, part) for name, text in texts.items() for part in _paragraphs(text)]
    assert [(name, part[:60]) for name, part in paragraphs if len(part.split()) > 120] == []
    lengths = [len(sentence.split()) for _, part in paragraphs for sentence in _SENTENCE_END.split(part)]
    assert sum(length > 35 for length in lengths) <= 0.02 * len(lengths)


_EXPLAINED = re.compile(r'"""([\s\S]*?)"""|(?:^|\s)# (.*)$', re.MULTILINE)
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|“[^”]*”|'[^']*'")


def test_pages_docstrings_and_comments_are_in_american_english() -> None:
    texts = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
    for name in subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True).stdout.split():
        if not name.startswith("tests/"):
            texts[name] = "\n".join(" ".join(found) for found in _EXPLAINED.findall((ROOT / name).read_text()))
    british = [(name, found[0]) for name, text in texts.items() for found in BRITISH.finditer(_QUOTED.sub("", text))]
    assert british == []
