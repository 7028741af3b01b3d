"""Faults on purpose: what can go wrong between a client and the market, each by name, with parameters and a seed."""
