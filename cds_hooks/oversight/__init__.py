"""Pages for the operator: decisions to find and to read (/decisions), and what goes on (/ops)."""
