"""The steps, one file each; a step's name is its file's name.

A step has `Parameters` (a frozen dataclass), `NEEDS` (the steps that must stand before it) and `run(context)`.
"""
