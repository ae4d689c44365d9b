"""Curvature of the spine, and sizes of the vertebral bodies and the canal."""
