"""One page of the documentation: its sections and anchors, its address, and the HTML of tables, code and pictures."""

from pathlib import PurePosixPath

from maintenance.documentation_page import Page, Section, dark_of, read_page
from tests.each import for_rows

TEXT = """Before *all* of it.

# The `title` of it

One
line.

## A part, with signs: (1)

- first
- second

```sh
make run
```

    indented

## A part, with signs: (1)

![A picture of it](a-light.webp) and [a *link*](b.md#c)

### Under it
"""


def _page(text: str, source: str = "rules/README.md") -> Page:
    return read_page(PurePosixPath(source), text)


def test_a_page_has_a_section_for_each_heading_with_the_text_below_it() -> None:
    page = _page(TEXT)
    assert page.sections == [
        Section(0, "", "", "Before all of it."),
        Section(1, "the-title-of-it", "The title of it", "One line."),
        Section(2, "a-part-with-signs-1", "A part, with signs: (1)", "first second make run indented"),
        Section(2, "a-part-with-signs-1-1", "A part, with signs: (1)", "A picture of it and a link"),
        Section(3, "under-it", "Under it", ""),
    ]
    assert page.title == "The title of it"
    assert page.anchors == {"", "the-title-of-it", "a-part-with-signs-1", "a-part-with-signs-1-1", "under-it"}
    assert _page("## Only a part").title == ""
    assert _page("# A\n\n# B").sections == [Section(1, "a", "A", ""), Section(1, "b", "B", "")]
    assert _page("").sections == [Section(0, "", "", "")]


@for_rows(
    ("source", "address", "root"),
    [
        ("README.md", "index.html", ""),
        ("faq.md", "faq.html", ""),
        ("rules/README.md", "rules/index.html", "../"),
        ("rules/deep/a.b.md", "rules/deep/a.b.html", "../../"),
    ],
)
def test_where_the_site_has_a_page(source: str, address: str, root: str) -> None:
    page = _page("# A", source)
    assert (page.address, page.root) == (PurePosixPath(address), root)


def test_links_and_pictures_are_found_with_their_places() -> None:
    links = [(token.type, inside[position] is token, position) for token, inside, position in _page(TEXT).links()]
    assert links == [("image", True, 0), ("link_open", True, 2)]


def test_the_html_of_a_page() -> None:
    table = "| a | b | c |\n|---|--:|:-:|\n| 1 | 2 | <b> |\n"
    assert _page(f"# A & B\n\n{table}").html() == (
        '<h1 id="a--b">A &amp; B</h1>\n'
        '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>\n'
        "<thead>\n<tr>\n<th>a</th>\n"
        '<th class="num">b</th>\n<th class="mid">c</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n'
        '<td class="num">2</td>\n<td class="mid">&lt;b&gt;</td>\n</tr>\n</tbody>\n</table></div>\n'
    )
    assert _page("```sh\na < b\n```\n").html() == '<pre tabindex="0"><code>a &lt; b\n</code></pre>\n'
    assert _page("    a > b\n").html() == '<pre tabindex="0"><code>a &gt; b\n</code></pre>\n'


def test_a_picture_of_the_light_theme_has_the_dark_one_beside_it() -> None:
    one = '<p><img src="pictures/a.webp" alt="Words of &quot;it&quot;"></p>\n'
    assert _page('![Words of "it"](pictures/a.webp)').html() == one
    assert _page("![Words](a-light.webp)").html() == (
        '<p><picture><source media="(prefers-color-scheme: dark)" srcset="a-dark.webp">'
        '<img src="a-light.webp" alt="Words"></picture></p>\n'
    )
    assert [dark_of(source) for source in ("a-light.webp", "b/light-a-light.v.png", "a.webp", "a-lights.webp")] == [
        "a-dark.webp", None, None, None,
    ]  # fmt: skip
