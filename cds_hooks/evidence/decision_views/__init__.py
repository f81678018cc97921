"""Follows the decision record into one file of views, from which hold-back, worklist, monitor and pages read."""
