"""The server against what no client should send: broken, slow, huge, hostile, and full of canaries."""
