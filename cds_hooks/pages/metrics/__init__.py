"""The address /metrics: what the server counted, in the format of Prometheus."""
