"""The floor that talks to the EHR: HTTP, protocol, services, storage.

A call passes the six functions of `call/answer.py`. `call/services/order_safety.py` judges the orders in it, a floor
below `cards/compose/orders.py` composes their cards, and `evidence/storage/` records the decision before the answer is
sent. docs/architecture.md tells it in full.
"""
