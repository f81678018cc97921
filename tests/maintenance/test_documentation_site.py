"""The documentation site: every page, no other host, links that lead somewhere, and what the server sends."""

import asyncio
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from cds_hooks.pages.files import site_routes
from maintenance.documentation_site import DocumentationWrong, main, write_site
from tests.conftest import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this repository's docs/."""
    folder = tmp_path_factory.mktemp("documentation") / "site"
    write_site(DOCS, folder)
    return folder


class _Read(HTMLParser):
    """What a page loads and links to, its ids, and what a strict content security policy forbids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found: dict[str, str] = {name: value or "" for name, value in attrs}
        self.inline += [f"{tag} {name}" for name in found if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in found):
            self.inline.append(tag)
        if tag == "source":
            self.loaded.append(found["srcset"])
        if tag in ("script", "img"):
            self.loaded.append(found.get("src", ""))
        elif tag == "link":
            self.loaded.append(found["href"])
        elif tag == "a":
            self.links.append(found["href"])
        if "id" in found:
            self.ids.append(found["id"])


def test_every_page_of_docs_is_in_the_site_once(site: Path) -> None:
    made = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html"}
    sources = (path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert made == {re.sub(r"README\.md$", "index.md", each).replace(".md", ".html") for each in sources}
    contents = _Read((site / "index.html").read_text()).links
    assert {each for each in contents if each in made} == made


def test_no_page_loads_anything_from_elsewhere_or_needs_an_inline_script_or_style(site: Path) -> None:
    for path in site.rglob("*.html"):
        read = _Read(path.read_text())
        assert read.inline == [], path
        for each in read.loaded:
            assert (path.parent / each).resolve().is_relative_to(site), (path, each)
            assert (path.parent / each).is_file(), (path, each)


@pytest.mark.slow
def test_every_link_of_every_page_leads_to_a_page_and_its_heading(site: Path) -> None:
    ids = {path.resolve(): _Read(path.read_text()).ids for path in site.rglob("*.html")}
    for path, of_page in ids.items():
        assert len(of_page) == len(set(of_page)), path
        for link in _Read(path.read_text()).links:
            target, _, fragment = link.partition("#")
            if "://" in link or link == "/docs/" or re.fullmatch(r"(\.\./)+(api)?", target):
                continue
            found = (path.parent / target).resolve() if target else path
            assert found.is_file(), (path, link)
            assert not fragment or fragment in ids[found], (path, link)


def test_the_search_index_has_every_page_and_every_setting(site: Path) -> None:
    index: list[Any] = orjson.loads((site / "search.json").read_bytes())
    assert {each[0] for each in index} == {
        path.relative_to(site).as_posix() for path in site.rglob("*.html") if path.name != "404.html"
    }
    text = " ".join(section[2] for page in index for section in page[2])
    assert "CDS_DATABASE_URL" in text


def _docs(folder: Path, **pages: str) -> Path:
    (folder / "docs").mkdir()
    for name, text in pages.items():
        (folder / "docs" / f"{name}.md").write_text(text)
    (folder / "docs" / "contents.toml").write_text('[[chapter]]\ntitle = "All"\npages = ["README.md"]\n')
    return folder / "docs"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# A\n\n[b](b.md)", "docs/README.md: b.md leads nowhere"),
        ("# A\n\n[b](#b)", "docs/README.md: README.md has no heading #b"),
        ("# A\n\n[b](../no-such-file.py)", "docs/README.md: ../no-such-file.py leads nowhere"),
        ("# A\n\n![b](https://example.org/b.png)", "is on another host"),
        ("No heading.", "docs/README.md: the page has no title"),
    ],
)
def test_a_fault_ends_the_build_and_keeps_what_was_written_before(tmp_path: Path, text: str, fault: str) -> None:
    docs = _docs(tmp_path, README=text)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "kept").touch()
    with pytest.raises(DocumentationWrong, match=re.escape(fault)):
        write_site(docs, tmp_path / "site")
    assert (tmp_path / "site" / "kept").exists()
    with pytest.raises(SystemExit, match="nothing was written"):
        main(str(docs), str(tmp_path / "site"))


def test_a_page_that_the_contents_do_not_name_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(DocumentationWrong, match=r"docs/lost\.md is not in docs/contents\.toml"):
        write_site(_docs(tmp_path, README="# A", lost="# Lost"), tmp_path / "site")


def test_a_page_is_written_as_commonmark_and_its_html_is_text(tmp_path: Path) -> None:
    text = (
        "# A\n\n1. first:\n\n   ```sh\n   make run\n   ```\n\n<script>x</script>\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n"
    )
    write_site(_docs(tmp_path, README=text), tmp_path / "site")
    page = (tmp_path / "site" / "index.html").read_text()
    assert '<pre tabindex="0"><code>make run\n</code></pre>\n</li>' in page
    assert "<script>x" not in page
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert '<td class="num">2</td>' in page


def test_a_link_to_a_file_of_the_sources_becomes_its_words_and_path(tmp_path: Path) -> None:
    (tmp_path / "tests.md").touch()
    write_site(_docs(tmp_path, README="# A\n\nSee [the tests](../tests.md)."), tmp_path / "site")
    assert "See <span>the tests</span> (tests.md in the sources)." in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.slow
def test_the_same_docs_give_the_same_bytes(site: Path, tmp_path: Path) -> None:
    write_site(DOCS, tmp_path / "again")
    assert _bytes(tmp_path / "again") == _bytes(site)


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_server_sends_the_site_with_a_strict_policy(site: Path) -> None:
    for path, kind in (("/docs/", "html"), ("/docs/rules/", "html"), ("/docs/search.json", "json")):
        answer = _get(site, path)
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
    assert _get(site, "/docs").headers["location"] == "/docs/"
    assert _get(site, "/docs/", **{"if-none-match": _get(site, "/docs/").headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/docs/no-such-page.html", "/docs/%2e%2e/pages.py", "/docs/..%2fpages.py"])
def test_an_address_without_a_page_is_answered_with_a_page_that_says_so(site: Path, path: str) -> None:
    answer = _get(site, path)
    assert answer.status_code == 404
    assert "There is no such page of documentation" in answer.text


def _get(folder: Path, path: str, **headers: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(Starlette(routes=site_routes(folder)))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as calls:
            return await calls.get(path, headers=headers)

    return asyncio.run(get())


def test_every_picture_is_on_a_page_in_both_themes_with_words_for_who_does_not_see_it(site: Path) -> None:
    sheet = orjson.loads((DOCS / "pictures" / "pictures.json").read_bytes())
    taken = {path.stem: path for path in (DOCS / "pictures").glob("*.webp")}
    assert sheet.keys() == taken.keys()
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in taken.items()} == {
        name: each["sha256"] for name, each in sheet.items()
    }, "a picture was changed by hand; run make pictures"
    assert sum(path.stat().st_size for path in taken.values()) < 500_000
    shown = re.findall(
        r'srcset="[./]*pictures/([\w-]+)\.webp"><img src="[./]*pictures/([\w-]+)\.webp" alt="([^"]+)"',
        "".join(path.read_text() for path in site.rglob("*.html")),
    )
    assert {name for dark, light, _ in shown for name in (dark, light)} == taken.keys()
    assert all(len(words) > 60 for _, _, words in shown)
    for name in taken:
        answer = _get(site, f"/docs/pictures/{name}.webp")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")


def test_a_picture_of_the_light_theme_without_the_dark_one_ends_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "README.md").write_text("# Start\n\n![Words](a-light.webp)\n")
    (docs / "a-light.webp").write_bytes(b"x")
    (docs / "contents.toml").write_text('[[chapter]]\ntitle = "Start"\npages = ["README.md"]\n')
    with pytest.raises(DocumentationWrong, match=r"a-dark\.webp is not beside the picture of the light theme"):
        write_site(docs, tmp_path / "site")


def _tree(folder: Path, contents: str, **pages: str) -> Path:
    """A folder of documentation; the name of a page has two underscores for each slash."""
    for name, text in pages.items():
        path = folder / "docs" / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "docs" / "contents.toml").write_text(contents)
    return folder / "docs"


def _chapter(title: str, *pages: str) -> str:
    return f'[[chapter]]\ntitle = "{title}"\npages = [{", ".join(f"{page!r}" for page in pages)}]\n'


@pytest.mark.parametrize(
    ("contents", "fault"),
    [
        (_chapter("All", "README.md", "none.md"), "docs/contents.toml names none.md, and there is no such page"),
        (_chapter("All", "README.md", "README.md"), "docs/contents.toml names README.md 2 times"),
    ],
)
def test_a_name_without_a_page_or_with_two_places_ends_the_build(tmp_path: Path, contents: str, fault: str) -> None:
    with pytest.raises(DocumentationWrong) as wrong:
        write_site(_tree(tmp_path, contents, README="# A"), tmp_path / "site")
    assert fault in str(wrong.value).splitlines()


def test_pages_stand_in_the_order_of_the_contents_and_a_star_takes_those_of_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = _chapter("First", "b.md", "README.md") + _chapter("None", "x/*.md") + _chapter("Rules", "rules/*.md")
    pages = {"README": "# Start", "b": "# B", "rules__b": "# Rule B", "rules__a": "# Rule A", "rules__c__d": "# Deep"}
    docs = _tree(tmp_path, contents + _chapter("Deep", "rules/c/d.md"), **pages)
    main(str(docs), str(tmp_path / "site"))
    assert capsys.readouterr().out == f"5 pages of documentation in {tmp_path / 'site'}\n"
    index = orjson.loads((tmp_path / "site" / "search.json").read_bytes())
    assert [entry[:2] for entry in index] == [
        ["b.html", "B"],
        ["index.html", "Start"],
        ["rules/a.html", "Rule A"],
        ["rules/b.html", "Rule B"],
        ["rules/c/d.html", "Deep"],
    ]
    assert index[0][2] == [["b", "B", ""]]
    page = (tmp_path / "site" / "index.html").read_text()
    assert (">First<" in page, ">None<" in page, ">Deep<" in page) == (True, False, True)
    around = {name: set(re.findall(r'rel="(prev|next)" href="([^"]+)"', (tmp_path / "site" / name).read_text()))
              for name in ("b.html", "index.html", "rules/c/d.html")}  # fmt: skip
    expected = {
        "b.html": {("next", "index.html")},
        "index.html": {("prev", "b.html"), ("next", "rules/a.html")},
        "rules/c/d.html": {("prev", "../../rules/b.html")},
    }
    assert around == expected


def test_links_are_relative_to_their_page_and_name_headings_files_and_sources(tmp_path: Path) -> None:
    text = (
        "# A\n\n[deep](rules/c/d.md#part) [folder](rules/) [itself](#a) [web](https://a.example/x) "
        "[file](rules/data.csv) [setup.py](../setup.py) [code](../setup.py)\n"
    )
    deep = "# Deep\n\n## Part\n\n[up](../../README.md) [beside](../data.csv)\n"
    docs = _tree(tmp_path, _chapter("All", "README.md", "rules/README.md", "rules/c/d.md"), README=text,
                 rules__README="# Rules", rules__c__d=deep)  # fmt: skip
    (docs / "rules" / "data.csv").write_text("a")
    (tmp_path / "setup.py").touch()
    assert write_site(docs, tmp_path / "site") == 3
    main_part = (tmp_path / "site" / "index.html").read_text().partition('<h1 id="a">')[2]
    assert (
        '<a href="rules/c/d.html#part">deep</a> <a href="rules/index.html">folder</a> '
        '<a href="index.html#a">itself</a> <a href="https://a.example/x">web</a> '
        '<a href="rules/data.csv">file</a> <span>setup.py</span> '
        "<span>code</span> (setup.py in the sources)"
    ) in main_part
    below = (tmp_path / "site" / "rules" / "c" / "d.html").read_text()
    assert '<a href="../../index.html">up</a> <a href="../data.csv">beside</a>' in below
    assert (tmp_path / "site" / "rules" / "data.csv").read_text() == "a"
    assert (tmp_path / "site" / "look.css").is_file()
