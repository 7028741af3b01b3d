"""The analysts: one file each, named as in the registry of `research.facade`."""
