"""The adapter to TWS, IB Gateway and our paper gateway; the only package that imports ib_insync."""
