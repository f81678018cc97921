"""The model card: 31 attributes of a predictive model or 13 of an evidence-based one, as data, in four forms."""
