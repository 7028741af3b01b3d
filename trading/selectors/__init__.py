"""Reads: what the desk knows, without changing it."""
