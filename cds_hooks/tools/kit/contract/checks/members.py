"""Checks of single members: which part has to have which one, of which type or with which values (`members.csv`)."""

from collections.abc import Callable
from typing import Final

from cds_hooks.tools.kit.contract.assertions import absolute_url, array_of_objects, one_of, optional, required
from cds_hooks.tools.kit.contract.definitions import read_table
from cds_hooks.tools.kit.contract.document import MUST, SHOULD, Node, Subject
from cds_hooks.tools.kit.contract.registry import Faults, check_part

_ASSERTIONS: Final[dict[str, Callable[..., Faults]]] = {
    function.__name__: function for function in (absolute_url, array_of_objects, one_of, optional, required)
}


def _check_of(row: dict[str, str]) -> Callable[[Node], Faults]:
    """Return the check of one row, under its name and with its advice."""
    assertion = _ASSERTIONS[row["assertion"]]
    values = row["value"].split()
    more = (values,) if assertion is one_of else values  # the type, where the assertion asks for one

    def check(node: Node) -> Faults:
        yield from assertion(node, row["member"], *more)

    check.__name__, check.__doc__ = row["check"], row["advice"]
    return check


for _row in read_table("members.csv"):
    _register = check_part(
        Subject[_row["part"].upper()], *_row["rows"].split(), level=SHOULD if _row["level"] == "should" else MUST
    )
    _register(_check_of(_row))
