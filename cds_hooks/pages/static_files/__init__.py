"""The style sheets, scripts and the icon of the pages."""
