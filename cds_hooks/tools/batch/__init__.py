"""The bedside's own code over many charts: scores, equations, features, worklists."""
