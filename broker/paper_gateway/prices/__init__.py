"""Where prices come from: replayed CSV files or a seeded market, behind one protocol."""
