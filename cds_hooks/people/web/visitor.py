"""Who looks at a page: set for each request by the gate (cds_hooks/people/access), read by the frame of every page."""

from collections.abc import Callable
from contextvars import ContextVar

from msgspec import Struct


class PatientBound(Struct, frozen=True):
    """The one patient, of one client, whose pages a session may open; with a decision, the page of that one alone."""

    client: str
    patient: str
    decision: str = ""


class Visitor(Struct, frozen=True):
    """A person who has logged in, or whom an EHR or a link has sent.

    `actor` is what the record names for what they see and do. `roles` are names of `people.access.roles.Role`;
    `form_token` is what each form of this session carries against forms of other sites; `bound` is None where the
    session is not of one patient; `issuer` is who vouches for somebody who has logged in.
    """

    name: str
    actor: str
    roles: frozenset[str]
    form_token: str
    bound: PatientBound | None = None
    issuer: str = ""

    def may_see(self, client: str, patient: str, decision: str) -> bool:
        """Return whether the page of this decision about this patient of this client is open to the session."""
        bound = self.bound
        return bound is None or bound == PatientBound(client, patient, decision if bound.decision else "")


class PageLink(Struct, frozen=True):
    """One entry of the navigation; `path` without its first slash."""

    path: str
    title: str


class Visiting(Struct, frozen=True):
    """One request for a page: its path, who asks, whether pages need a login here, and the pages that they may open.

    `links` are those of the navigation; `opens` says of any path whether it is open to who asks.
    """

    path: str = ""
    visitor: Visitor | None = None
    needs_login: bool = False
    links: tuple[PageLink, ...] = (PageLink("docs/", "Documentation"),)
    opens: Callable[[str], bool] = lambda _: False

    def may_open(self, path: str) -> bool:
        """Return whether who asks may open a page; `path` without its first slash."""
        return self.opens(f"/{path.partition('#')[0]}")

    @property
    def root(self) -> str:
        """The way back to the address "/" in relative steps: the server may be below a path of a proxy."""
        return "../" * (self.path.count("/") - 1)


_visiting: ContextVar[Visiting | None] = ContextVar("visiting", default=None)


def set_visiting(now: Visiting) -> None:
    """Set who is looking, for the rest of this request."""
    _visiting.set(now)


def visiting() -> Visiting:
    """Return who is looking at the page that is being made."""
    return _visiting.get() or Visiting()
