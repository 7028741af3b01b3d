"""The owner of the one connection to the broker: lock, writer, reconcile, local calls and HTTP."""
