"""The page /wards."""
