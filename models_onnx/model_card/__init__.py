"""The model card: the 31 attributes of a predictive model as data."""
