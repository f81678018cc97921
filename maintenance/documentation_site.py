"""Writes the documentation site from docs/: every page, the files they link to, the search index, the look.

`docs/contents.toml` says in which order and under which heading the pages stand. A page that it does not name, a name
without a page, a page without a title, and a link that leads nowhere end the build with one sentence for each.

    python -m maintenance.documentation_site docs cds_hooks/web/docs
"""

import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it.token import Token

from maintenance.documentation_page import Page, dark_of, read_page

_ASSETS = ("look.css", "icon.svg", "documentation.css", "documentation.js")
_CONTENTS = "contents.toml"


class DocumentationWrong(Exception):
    """The site was not written; the message has one line for each fault, with the page it is in."""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A heading of the contents and its pages in their order."""

    title: str
    pages: tuple[Page, ...]


@dataclass(slots=True)
class Site:
    """The pages of a folder by their place in it, and what is wrong with them."""

    folder: Path
    pages: dict[PurePosixPath, Page]
    faults: list[str] = field(default_factory=list)
    files: set[PurePosixPath] = field(default_factory=set)
    """The files of the folder that pages link to and that are not pages."""


def write_site(docs: Path, target: Path) -> int:
    """Write the site of `docs` into `target`, in place of what was there; give back how many pages it has.

    Raises:
        DocumentationWrong: a link leads nowhere, or the contents are not the pages.
    """
    site = read_site(docs)
    chapters = _chapters(site)
    for page in site.pages.values():
        _resolve_links(site, page)
    if site.faults:
        raise DocumentationWrong("\n".join(site.faults))
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    _write_pages(chapters, target)
    for name in sorted(site.files):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(docs / name, target / name)
    for asset in _ASSETS:
        (target / asset).write_bytes((files("cds_hooks.web") / "static" / asset).read_bytes())
    return len(site.pages)


def read_site(docs: Path) -> Site:
    """Read every page of the folder."""
    paths = sorted(docs.rglob("*.md"))
    sources = [PurePosixPath(path.relative_to(docs).as_posix()) for path in paths]
    pages = {
        source: read_page(source, path.read_text(encoding="utf-8")) for source, path in zip(sources, paths, strict=True)
    }
    return Site(
        docs, pages, [f"docs/{source}: the page has no title (# …)" for source in sources if not pages[source].title]
    )


def _chapters(site: Site) -> list[Chapter]:
    declared = tomllib.loads((site.folder / _CONTENTS).read_text(encoding="utf-8"))["chapter"]
    chapter_sources = [PurePosixPath(name) for chapter in declared for name in chapter["pages"] if "*" not in name]
    for name in chapter_sources:
        if name not in site.pages:
            site.faults.append(f"docs/{_CONTENTS} names {name}, and there is no such page")
        elif chapter_sources.count(name) > 1:
            site.faults.append(f"docs/{_CONTENTS} names {name} {chapter_sources.count(name)} times")
    unnamed = [page for source, page in site.pages.items() if source not in chapter_sources]
    chapters = [Chapter(chapter["title"], tuple(_take(site, chapter["pages"], unnamed))) for chapter in declared]
    site.faults += [f"docs/{page.source} is not in docs/{_CONTENTS}: nobody would find the page" for page in unnamed]
    return [chapter for chapter in chapters if chapter.pages]


def _take(site: Site, names: list[str], unnamed: list[Page]) -> Iterator[Page]:
    """Return the pages of a chapter; those that a name with * takes go out of `left`."""
    for name in names:
        if "*" not in name:
            yield from (page for source, page in site.pages.items() if source == PurePosixPath(name))
            continue
        for page in [page for page in unnamed if fnmatchcase(str(page.source), name) and _as_deep(page, name)]:
            unnamed.remove(page)
            yield page


def _as_deep(page: Page, name: str) -> bool:
    return len(page.source.parts) == len(PurePosixPath(name).parts)


def _resolve_links(site: Site, page: Page) -> None:
    for token, inside, position in list(page.links()):
        name = "src" if token.type == "image" else "href"
        parts = urlsplit(str(token.attrs[name]))
        if parts.scheme or parts.netloc:
            if token.type == "image":
                site.faults.append(f"docs/{page.source}: the picture {parts.geturl()} is on another host")
            continue
        path = _path_in_docs(page, unquote(parts.path))
        if ".." in path.parts:
            _name_source(site, page, path, inside, position)
            continue
        if (site.folder / path).is_dir():
            path = path / "README.md"
        if not (site.folder / path).is_file():
            site.faults.append(f"docs/{page.source}: {parts.geturl()} leads nowhere")
        elif path not in site.pages:
            site.files.add(path)
            if token.type == "image" and (dark := dark_of(str(path))) is not None:
                if not (site.folder / dark).is_file():
                    site.faults.append(f"docs/{page.source}: {dark} is not beside the picture of the light theme")
                site.files.add(PurePosixPath(dark))
        else:
            target = site.pages[path]
            if parts.fragment and parts.fragment not in target.anchors:
                site.faults.append(f"docs/{page.source}: {path} has no heading #{parts.fragment}")
            path = target.address
        token.attrSet(name, _relative(page, path) + (f"#{parts.fragment}" if parts.fragment else ""))


def _path_in_docs(page: Page, link: str) -> PurePosixPath:
    """Return the place that a link of a page means, from docs/; it begins with ".." where that is outside."""
    return PurePosixPath(os.path.normpath(page.source.parent / link)) if link else page.source


def _relative(page: Page, path: PurePosixPath) -> str:
    return PurePosixPath(os.path.relpath(path, page.address.parent)).as_posix()


def _name_source(site: Site, page: Page, path: PurePosixPath, inside: list[Token], position: int) -> None:
    """Replace a link to a file of the repository by its words and the file's path: the site lacks the sources."""
    if not (site.folder / path).exists():
        site.faults.append(f"docs/{page.source}: {path} leads nowhere")
    close = next(n for n in range(position, len(inside)) if inside[n].type == "link_close")
    inside[position].tag = inside[close].tag = "span"
    inside[position].attrs = {}
    words = "".join(token.content for token in inside[position:close])
    if (file := str(path).removeprefix("../")) != words:
        inside.insert(close + 1, Token("text", "", 0, content=f" ({file} in the sources)"))


def _write_pages(chapters: list[Chapter], target: Path) -> None:
    # not that of web/site.py: the wheel is built with jinja2 and markdown-it-py alone (setup.py)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("documentation.html")
    ordered = [page for chapter in chapters for page in chapter.pages]
    for position, page in enumerate(ordered):
        before = ordered[position - 1] if position else None
        after = ordered[position + 1] if position + 1 < len(ordered) else None
        (target / page.address).parent.mkdir(parents=True, exist_ok=True)
        text = template.render(page=page, chapters=chapters, before=before, after=after)
        (target / page.address).write_text(text, encoding="utf-8")
    missing = Page(PurePosixPath("404.md"), [])
    text = template.render(page=missing, chapters=chapters, before=None, after=None)
    (target / "404.html").write_text(text, encoding="utf-8")
    index = [_searched(page) for page in ordered]
    (target / "search.json").write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def _searched(page: Page) -> list[object]:
    """Return a page for the search: its address, its title and of each section the anchor, the heading and the text."""
    sections = [[section.anchor, section.title, section.text] for section in page.sections]
    return [page.address.as_posix(), page.title, sections]


def main(docs: str, target: str) -> None:
    """Write the site and say how many pages it has; end with 1 and the faults where there are some."""
    try:
        count = write_site(Path(docs), Path(target))
    except DocumentationWrong as wrong:
        sys.exit(f"The documentation has faults, and nothing was written:\n{wrong}")
    print(f"{count} pages of documentation in {target}")


if __name__ == "__main__":
    main(*sys.argv[1:])
