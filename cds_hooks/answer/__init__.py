"""The way of one hook call: read, complete, understand, advise, hold back, write. Start with `invoke.py`."""
