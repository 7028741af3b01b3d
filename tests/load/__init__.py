"""Load on a real web process: `make load`."""
