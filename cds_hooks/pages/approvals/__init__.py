"""The page /approvals: what waits for a second signature, and the form that takes signed files."""
