"""The pages /login and /logout."""
