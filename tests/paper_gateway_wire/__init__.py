"""Tests of the paper gateway over its sockets."""
