"""The commands of the contract kit, which need none of the server."""
