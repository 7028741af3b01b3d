"""Workflows: what a version may contain, and the engine that runs it."""
