"""Quality gates: what a scan can support."""
