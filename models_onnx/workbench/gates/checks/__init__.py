"""The checks of the gates, by what they look at; `gates/run.py` says which gate has which."""
