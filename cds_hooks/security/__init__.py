"""Who may call, and where the server may call: trust file, tokens, addresses."""
