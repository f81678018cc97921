"""Monitoring: what is counted of predictions day by day, and how a day is compared with the days before it.

Nothing here reads patients: decisions become counts (`sketch.py`), and the counts are judged (`figure.py`, `drift.py`,
`rates.py`). Each figure has a fewest number below which it says "insufficient", which is never shown as good.
"""
