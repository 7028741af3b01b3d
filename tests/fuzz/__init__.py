"""The whole API under generated requests, sound and unsound: no failure inside, no answer that is not documented."""
