"""Interactive Brokers behind one port; knows nothing of trading."""
