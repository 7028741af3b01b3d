"""A gateway that speaks the TWS wire protocol, with a matching engine of its own; imports nothing of ours."""
