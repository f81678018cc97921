"""The pictures of the documentation show what the pages show today; `make pictures` takes them again.

A picture cannot be compared point by point on another machine, which has other fonts. What can be compared is what it
shows: docs/pictures/pictures.json keeps for each picture the texts that were in view when it was taken, the colors and
sizes of letters, and the digest of the file. These tests bring the same page into view and compare.
"""

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import running
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

Open = Callable[..., Page]
FOLDER: Final = ROOT / "docs" / "pictures"
SHEET: Final = FOLDER / "pictures.json"
_WRITES: Final = os.environ.get("CDS_WRITE_PICTURES") == "1"
_SIZE: Final = {"width": 1000, "height": 700}
_LEAST_ALIKE: Final = 0.7
"""With other fonts other lines stand at the lower edge: so much of what the shorter list has must be the same."""

_IN_VIEW = """() => {
  const found = [];
  const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim().replace(/\\s+/g, ' ');
    const holder = walk.currentNode.parentElement;
    if (!text || holder.closest('.vh, svg, script, option, textarea') || !holder.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect();
    if (box.height && box.bottom > 0 && box.top < innerHeight) found.push(text);
  }
  return found;
}"""
_LOOKS = """() => Object.fromEntries([['page', 'body'], ['heading', 'h1'], ['link', 'main a'], ['soft', '.meta, .soft']]
  .map(([name, where]) => [name, document.querySelector(where)])
  .filter(([, one]) => one)
  .map(([name, one]) => [name, (({color, backgroundColor, fontSize, fontWeight}) =>
    [color, backgroundColor, fontSize, fontWeight])(getComputedStyle(one))]))"""
_AS_WEBP = """async (png) => {
  const picture = new Image();
  picture.src = 'data:image/png;base64,' + png;
  await picture.decode();
  const canvas = Object.assign(document.createElement('canvas'), { width: picture.width, height: picture.height });
  canvas.getContext('2d').drawImage(picture, 0, 0);
  return canvas.toDataURL('image/webp', 0.75).split(',')[1];
}"""
_CHANGES_EACH_TIME = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{4,}"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d)?( UTC)?"), "DATE"),
    (re.compile(r"\d+(\.\d+)? (ms|minutes?|seconds?)"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with its own record."""
    folder = tmp_path_factory.mktemp("pictures")
    with running(folder) as url:
        yield url


def _try(page: Page, base_url: str, _: dict[str, str]) -> None:
    page.goto(f"{base_url}/try")
    page.get_by_role("button", name="Build and send").click()
    heading = page.get_by_role("heading", name="The cards as an EHR draws them")
    heading.evaluate("heading => scrollTo(0, heading.getBoundingClientRect().top + scrollY - 20)")


def _why(page: Page, _: str, pages: dict[str, str]) -> None:
    page.goto(pages["estimate"])


SCENES: Final[dict[str, Callable[[Page, str, dict[str, str]], None]]] = {
    "try": _try,
    "why": _why,
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SCENES)
def test_a_picture_shows_what_the_page_shows(
    opened: Open, base_url: str, pages: dict[str, str], name: str, scheme: str
) -> None:
    page = opened(f"{base_url}/", color_scheme=scheme)
    page.set_viewport_size(_SIZE)
    SCENES[name](page, base_url, pages)
    shown = {"texts": [_steady(text) for text in page.evaluate(_IN_VIEW)], "looks": page.evaluate(_LOOKS)}
    assert len(shown["texts"]) > 10
    key = f"{name}-{scheme}"
    if _WRITES:
        _write(page, key, shown)
    recorded = json.loads(SHEET.read_text())[key]
    taken = (FOLDER / f"{key}.webp").read_bytes()
    assert hashlib.sha256(taken).hexdigest() == recorded["sha256"], f"{key}.webp was changed by hand; {_AGAIN}"
    assert shown["looks"] == recorded["looks"], f"{key}.webp has other colours or letters than the page; {_AGAIN}"
    _assert_alike(recorded["texts"], shown["texts"])


_AGAIN = "run make pictures"


def _assert_alike(recorded: list[str], shown: list[str]) -> None:
    """What the picture shows first is what the page shows first, as far as both reach."""
    both = [*zip(recorded, shown, strict=False)]
    least = int(_LEAST_ALIKE * min(len(recorded), len(shown)))
    others = [pair for pair in both[:least] if pair[0] != pair[1]]
    assert others == [], f"the picture shows another text than the page; {_AGAIN}"


def _steady(text: str) -> str:
    for pattern, word in _CHANGES_EACH_TIME:
        text = pattern.sub(word, text)
    return text


def _write(page: Page, key: str, shown: dict[str, Any]) -> None:
    png = base64.b64encode(page.screenshot()).decode()
    with page.context.browser.new_context() as context:
        packed = base64.b64decode(context.new_page().evaluate(_AS_WEBP, png))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{key}.webp").write_bytes(packed)
    sheet = json.loads(SHEET.read_text()) if SHEET.exists() else {}
    sheet[key] = {"sha256": hashlib.sha256(packed).hexdigest(), **shown}
    SHEET.write_text(json.dumps(sheet, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def test_the_comparison_finds_a_text_that_changed_and_bears_other_lines_at_the_lower_edge() -> None:
    texts = [f"line {number}" for number in range(20)]
    _assert_alike(texts, texts[:15])
    _assert_alike(texts, [*texts, "more"])
    with pytest.raises(AssertionError, match="make pictures"):
        _assert_alike(texts, [*texts[:5], "other", *texts[6:]])
    with pytest.raises(AssertionError, match="make pictures"):
        _assert_alike(texts, ["new", *texts])
