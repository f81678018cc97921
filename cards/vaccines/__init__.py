"""Vaccines after CDC's Logic Specification for ACIP Recommendations: which doses count and what is due next.

`knowledge` is CDC's supporting data in our own form; `evaluation` judges the doses given, `forecasting` dates the next
one, `selection` chooses the series, `groups` puts antigens together; `cases` runs CDC's own test cases.
"""
