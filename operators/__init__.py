"""The reading itself: one clinical step per file, and the graph that joins them."""
