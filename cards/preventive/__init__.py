"""Preventive services of the USPSTF with grade A or B: which are due, which are not, and which cannot be told.

`knowledge` reads `services.json`; `chart` finds what was done, ordered or declined; `judging` decides for each service.
"""
