"""The running of the whole site: what every part says of itself, joined, for health, metrics and `healthcheck`."""
