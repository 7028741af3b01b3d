"""What the pages for people show: each function reads one page, or one part of it, in a fixed number of queries."""
