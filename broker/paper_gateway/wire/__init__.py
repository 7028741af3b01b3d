"""The TWS wire format: frames, fields, and the layout of every message this gateway reads or writes."""
