"""Pre-trade rules, one file each; a rule's name is its file's name."""
