"""Preventive services of the USPSTF with grade A or B: which are due, which are not, and which cannot be told.

`knowledge` reads `services.json`; `chart` finds what was done, ordered or declined; `criteria` decides for each
service; `abnormal` finds the results that wait for a follow-up (`abnormal_results.json`).
"""
