"""What each condition of a template decides: rendered both ways, and compared with what was confirmed."""

from tests.cds_hooks.web.symbols import decisions_of, file_of, templates, text_of
from tests.each import for_each

CONFIRM = "read what changed, then: .venv/bin/python -m tests.cds_hooks.web.symbols {template} --write"


def test_a_template_shows_and_decides_what_was_confirmed() -> None:
    def check(template: str) -> None:
        confirmed = file_of(template).read_text(encoding="utf-8") if file_of(template).exists() else ""
        assert text_of(template).splitlines() == confirmed.splitlines(), CONFIRM.format(template=template)

    for_each(((template, (template,)) for template in templates()), check)


def test_no_text_is_left_of_a_template_that_is_gone() -> None:
    assert {path.name for path in file_of("x").parent.iterdir()} == {file_of(template).name for template in templates()}


def test_a_condition_is_answered_both_ways() -> None:
    """The page of a worklist names another list only where there is one, and links nowhere but to its own pages."""
    lines = decisions_of("login/login.html")
    assert sum(line.startswith("### ") for line in lines) > 3
    assert any(line.startswith("-") for line in lines)
