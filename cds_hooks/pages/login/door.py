"""Who may open the ways into a session: everybody; an EHR and the link of a card say what may be seen afterwards."""

from cds_hooks.pages.door import Door

DOOR = (Door("/login", None), Door("/logout", None), Door("/open", None), Door("/launch", None, anonymous=True))
