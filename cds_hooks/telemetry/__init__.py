"""What a running server says of itself: logs, metrics, traces and notices. None holds a patient."""
