"""The pages for people: one folder for each page, with its door, its views and its templates."""
