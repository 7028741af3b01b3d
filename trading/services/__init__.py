"""Writes: each runs in `audit.recording()`, moves rows by compare-and-swap and records what it changed."""
