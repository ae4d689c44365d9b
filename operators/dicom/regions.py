"""Outlines as content items of a structured report."""

from __future__ import annotations

import highdicom as hd
from pydicom.sr.coding import Code

from operators.results.outlines import Region


def outline_item(region: Region, name: Code) -> hd.sr.ScoordContentItem:
    """The region as a drawing called ``name``, with the image that it is drawn on."""
    item = hd.sr.ScoordContentItem(
        name=name,
        graphic_type=_graphic_type(region),
        graphic_data=region.points,
        relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
    )
    item.ContentSequence = hd.sr.ContentSequence([_source_image(region)])
    return item


def image_region(region: Region) -> hd.sr.ImageRegion:
    """The region as that in which something was measured or found."""
    return hd.sr.ImageRegion(
        graphic_type=_graphic_type(region), graphic_data=region.points, source_image=_source_image(region)
    )


def _graphic_type(region: Region) -> hd.sr.GraphicTypeValues:
    return hd.sr.GraphicTypeValues.POLYLINE if len(region.points) > 1 else hd.sr.GraphicTypeValues.POINT


def _source_image(region: Region) -> hd.sr.SourceImageForRegion:
    frame = region.frame
    return hd.sr.SourceImageForRegion(
        referenced_sop_class_uid=frame.sop_class_uid,
        referenced_sop_instance_uid=frame.sop_instance_uid,
        referenced_frame_numbers=None if frame.frame is None else [frame.frame],
    )
