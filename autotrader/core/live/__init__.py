"""The live feed: the events of the audit log, sent to programs and pages as they are committed."""
