"""Tables in a terminal that never cut a word: what stands in a cell can be copied and typed."""

from textwrap import wrap

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def print_table(table: Table, console: Console | None = None) -> None:
    """Print the table with each column at least as wide as its longest word.

    Where the terminal is too narrow for that, each row is a short list, one line to a column.
    """
    console = console or Console()
    cells = [[column.header, *column.cells] for column in table.columns]
    measured = [[Measurement.get(console, console.options.update(max_width=10_000), cell) for cell in column]
                for column in cells]  # fmt: skip
    least = [max(cell.minimum for cell in column) for column in measured]
    most = [max(cell.maximum for cell in column) for column in measured]
    padding = table.padding[1] + table.padding[3]
    free = console.width - sum(least) - padding * (len(cells) - (not table.pad_edge)) - len(cells) - 1
    if free < 0:
        _print_list(table, console)
        return
    # The columns that want least get all they want; those of long texts share what is left.
    by_wish = sorted(range(len(cells)), key=lambda index: most[index] - least[index])
    for position, index in enumerate(by_wish):
        more = min(most[index] - least[index], free // (len(cells) - position))
        table.columns[index].width = least[index] + more
        free -= more
    console.print(table)


def _print_list(table: Table, console: Console) -> None:
    headings = [_plain(column.header) for column in table.columns]
    lines = [_plain(table.title)] if table.title else []
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *others = map(_plain, row)
        lines.append(first)
        for heading, cell in zip(headings[1:], others, strict=True):
            sentence = f"{heading}: {', '.join(cell.splitlines())}" if cell else ""
            lines += wrap(sentence, console.width, initial_indent="  ", subsequent_indent="    ",
                          break_long_words=False, break_on_hyphens=False)  # fmt: skip
    lines += [_plain(table.caption)] if table.caption else []
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _plain(cell: object) -> str:
    return cell.plain if isinstance(cell, Text) else Text.from_markup(str(cell)).plain
