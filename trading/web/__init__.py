"""Pages for people without admin habits: small, quick, usable on a phone and without JavaScript."""
