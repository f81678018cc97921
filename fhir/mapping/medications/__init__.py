"""Medications: what an order means, how much a day, and what the patient is taking."""
