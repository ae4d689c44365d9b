"""Geometry of one vertebral body: its frame, edges, endplates, core, and the discs beside it."""
