"""The way of a study up to its reading: receive, select a series, load, segment; and the results' way out."""
