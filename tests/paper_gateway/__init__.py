"""The exchange side of the paper gateway."""
