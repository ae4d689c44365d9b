"""Where in a label map each label lies; its home is :mod:`operators.body.label_boxes`."""

from operators.body.label_boxes import Box, label_boxes

__all__ = ["Box", "label_boxes"]
