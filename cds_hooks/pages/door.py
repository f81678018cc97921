"""What a page declares about who may open it: its door, in the file `door.py` of its folder.

A path without a door is open to nobody while pages need a login.
"""

from functools import cache
from typing import Final

from msgspec import Struct

from cds_hooks.access.roles import Role
from models_onnx.discovery import declarations

_PAGES: Final = "cds_hooks.pages"


class Door(Struct, frozen=True):
    """The pages at and below a path, and who may open them.

    `roles` None: everybody, without a login. `changes` are the roles that may send a form there; None: as `roles`.
    Without a login (CDS_LOGIN) the pages that a viewer may open are open to everybody, and all others, with the forms
    of pages that have `changes`, to the operator alone.
    """

    path: str
    roles: frozenset[Role] | None
    title: str = ""
    """Its name in the navigation; "" for a page that is not in it."""
    rank: int = 0
    """Its position in the navigation; smaller ones come first."""
    of_patients: bool = False
    """Whether it shows something of a patient: then each view is recorded."""
    token: bool = False
    """Whether programs may open it, too: with CDS_OPERATOR_TOKEN, or at CDS_OPERATOR_LISTEN."""
    changes: frozenset[Role] | None = None
    by_link: bool = False
    """Whether sessions of the link of a card and of an EHR launch open it, and everybody with CDS_EXPLAIN_PAGES."""
    anonymous: bool = False
    """Whether it is the same for everybody: then nobody's session is looked up."""
    refusal: str = "Open it at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer; with CDS_LOGIN people log in."
    """What somebody can do whom the server does not let in because they are not the operator."""

    def leads_to(self, path: str) -> bool:
        """Return whether a path is at or below this one."""
        return path == self.path or (path.startswith(self.path.rstrip("/") + "/") and self.path != "/")

    @property
    def is_public(self) -> bool:
        """Whether everybody may read it where pages need no login."""
        return self.roles is None or Role.VIEWER in self.roles


@cache
def find_doors() -> dict[Door, str]:
    """Return every door with the package of its page, in the order of the navigation.

    Raises:
        DeclarationError: the `door.py` of a page declares no door.
    """
    declared = declarations(_PAGES, "DOOR", Door, inner="door")
    doors = {entry.value: entry.module.__name__.rpartition(".")[0] for entry in declared}
    return dict(sorted(doors.items(), key=lambda item: (item[0].rank, item[0].path)))


def door_of(path: str) -> Door | None:
    """Return the door of a path; None where there is none, and then nobody may open it."""
    return next((door for door in find_doors() if door.leads_to(path)), None)
