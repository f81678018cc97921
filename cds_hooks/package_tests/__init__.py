"""What holds for every service, dialect, feature, equation, check and page, as tests that any package can run.

`plugin.py` runs them with pytest on the parts of packages from outside (docs/adding/package.md); our own tests run the
same functions on our own parts.
"""
