"""The documentation as the server shows it: pages, pictures, the search, and what a strict policy forbids."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import httpx
import pytest

from cds_hooks.people.pages.documentation.views import chapters, documentation_folder, read_page, search
from tests.cds_hooks.calls import client
from tests.each import for_rows, some_of


def _get(folder: Path, paths: Sequence[str]) -> list[httpx.Response]:
    async def get() -> list[httpx.Response]:
        async with client(folder) as calls:
            return [await calls.get(path, headers={"accept": "text/html"}) for path in paths]

    return asyncio.run(get())


@pytest.mark.sampled
def test_every_page_is_shown_with_all_others_in_its_contents_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    folder = documentation_folder()
    addresses = [str(source.with_suffix(".html")) for pages in chapters(folder).values() for source in pages]
    asked = some_of(addresses, 4)
    for address, page in zip(asked, _get(tmp_path, [f"/docs/{each}" for each in asked]), strict=True):
        assert page.status_code == 200, address
        loaded = re.findall(r'<(?:img|link|script|source)[^>]*(?:src|href|srcset)="([^"]*)"', page.text)
        assert not [each for each in loaded if "//" in each], address
        assert not re.search(r"<script|<style|<[^>]* (?:style|on[a-z]+)=", page.text), address
        links = re.findall(r'<li><a href="(?:\.\./)*([^"#]+)"', page.text)
        assert set(addresses) <= set(links), address


def test_the_documentation_is_sent_with_a_strict_policy(tmp_path: Path) -> None:
    start, folder, moved, found, picture = _get(
        tmp_path,
        ["/docs/", "/docs/rules/README.html", "/docs", "/docs/search?q=trust", "/docs/pictures/try-light.webp"],
    )
    for answer in (start, folder, found):
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
    assert moved.headers["location"] == "docs/"
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/webp")


def test_an_address_without_a_page_is_answered_with_a_page_that_says_so(tmp_path: Path) -> None:
    unknown, above, hidden = _get(
        tmp_path, ["/docs/no-such.html", "/docs/..%2fpyproject.toml", "/docs/%2e%2e/setup.py"]
    )
    assert "There is no such page" in unknown.text
    assert [answer.status_code for answer in (unknown, above, hidden)] == [404, 404, 404]


@for_rows(("text", "page"))
def test_the_search_finds_the_page_that_explains_it(text: str, page: str) -> None:
    folder = documentation_folder()
    assert str(search(folder, text)[0][0]) == page


@pytest.mark.parametrize("text", ["", '"', "xyzzy plugh", "xyzzy (", "*"])
def test_a_search_for_what_no_page_has_says_so(text: str, tmp_path: Path) -> None:
    (answer,) = _get(tmp_path, [f"/docs/search?q={text}"])
    assert "Nothing found" in answer.text


def test_what_is_searched_for_is_text_and_never_markup(tmp_path: Path) -> None:
    (answer,) = _get(tmp_path, ["/docs/search?q=<img src=x onerror=alert(1)>"])
    assert "<img" not in answer.text


def test_a_page_is_shown_as_commonmark_and_its_html_is_text(tmp_path: Path) -> None:
    text = (
        "# A\n\n1. first:\n\n   ```sh\n   make run\n   ```\n\n<script>x</script>\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n"
        "[o](other/b.md#x) [s](a.sql) [w](https://x.org/a.md) ![p](p-light.webp)\n\n## Part *one*\n"
    )
    (tmp_path / "a.md").write_text(text)
    html = read_page(tmp_path, PurePosixPath("a.md"))
    for part in (
        '<pre tabindex="0"><code class="language-sh">make run\n</code></pre>', "&lt;script&gt;x&lt;/script&gt;",
        "<td>2</td>", '<a href="other/b.html#x">', '<a href="a.sql">', '"https://x.org/a.md"', 'srcset="p-dark.webp"',
        '<h2 id="part-one">Part <em>one</em></h2>',
    ):  # fmt: skip
        assert part in html
