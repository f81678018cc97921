"""What is taken already, looked through at 65 and over."""
