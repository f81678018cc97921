"""Who may open style sheets, scripts and the icon: everybody."""

from cds_hooks.pages.door import Door

DOOR = Door("/static", None, anonymous=True)
