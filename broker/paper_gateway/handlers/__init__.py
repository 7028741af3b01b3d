"""What each request does: read its fields, ask the exchange, put the answers in line."""
