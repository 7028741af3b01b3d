"""Bytes kept by their hash: bars, charts, prompts, answers."""
