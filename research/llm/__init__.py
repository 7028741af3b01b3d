"""Everything that speaks to a language model; the only place that imports its client library."""
