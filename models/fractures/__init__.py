"""The second opinion on vertebral fractures: a small network over a straightened vertebra, beside the morphometry."""
