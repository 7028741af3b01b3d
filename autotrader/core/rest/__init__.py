"""What every REST endpoint shares: the error envelope, who asks, by which permission, and exact numbers."""
