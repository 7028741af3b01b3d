"""Interactive Brokers' own client, in a Python environment of its own, against the paper gateway."""
