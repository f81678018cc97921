"""The families of rules: each folder holds one family, its rules as JSON files and what only they use."""
