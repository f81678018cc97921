"""Monitoring: whether shares are other than before, how good estimates are with and without labels, and incidents.

Every figure has a fewest number below which it says "insufficient", which is never shown as good. Only the command
`monitor` loads scipy and statsmodels; what the server needs of it is in `figure.py`, `alerting.py`, `intervals.py`.
"""
