"""A reading as a table for the terminal."""

from __future__ import annotations

from operators.reading.reading import Measured, Quantity, SpineReading, Vertebra, Withheld

_HEAD = ("level", "conf.", "Ha mm", "Hm mm", "Hp mm", "loss %", "grade", "HU")
_WITHHELD = "–"


def reading_table(reading: SpineReading) -> str:
    """The vertebrae with their numbers, the gates with their reasons, and the remarks."""
    rows = [_HEAD, *(_row(vertebra) for vertebra in reading.vertebrae)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if not reading.vertebrae:
        lines = ["no vertebra was found"]
    reasons = _reasons(reading)
    lines += ["", *reasons] if reasons else []
    if reading.gates:
        lines += ["", "quality gates:"]
        lines += [f"  {gate.outcome.value:8}  {gate.code}: {gate.reason}" for gate in reading.gates]
    lines += [f"remark: {remark}" for remark in reading.remarks]
    lines += [f"numbering: {reading.numbering.value}", "Research use only; not for clinical decisions."]
    return "\n".join(lines)


def _row(vertebra: Vertebra) -> tuple[str, ...]:
    level = vertebra.level.value
    if vertebra.alternative is not None:
        level += f" ({vertebra.alternative.value}?)"
    return (level, f"{vertebra.confidence:.2f}", *_heights(vertebra), *_deformity(vertebra), _density(vertebra))


def _heights(vertebra: Vertebra) -> tuple[str, str, str]:
    heights = vertebra.heights
    if heights is None or isinstance(heights, Withheld):
        return (_WITHHELD, _WITHHELD, _WITHHELD)
    return (_number(heights.anterior), _number(heights.middle), _number(heights.posterior))


def _deformity(vertebra: Vertebra) -> tuple[str, str]:
    deformity = vertebra.deformity
    if deformity is None or isinstance(deformity, Withheld):
        return (_WITHHELD, _WITHHELD)
    grade = _WITHHELD if deformity.grade is None else str(deformity.grade)
    return (_number(deformity.height_loss), grade)


def _density(vertebra: Vertebra) -> str:
    density = vertebra.density
    if density is None or isinstance(density, Withheld):
        return _WITHHELD
    return _number(density.mean, digits=0)


def _number(quantity: Quantity, digits: int = 1) -> str:
    return f"{quantity.value:.{digits}f}" if isinstance(quantity, Measured) else _WITHHELD


def _reasons(reading: SpineReading) -> list[str]:
    """Why numbers are withheld, each reason once with the levels it concerns."""
    levels: dict[str, list[str]] = {}
    for vertebra in reading.vertebrae:
        for withheld in _withheld(vertebra):
            concerned = levels.setdefault(withheld.reason, [])
            if vertebra.level.value not in concerned:
                concerned.append(vertebra.level.value)
    return [f"{_WITHHELD} {', '.join(concerned)}: {reason}" for reason, concerned in levels.items()]


def _withheld(vertebra: Vertebra) -> list[Withheld]:
    parts: list[object] = [vertebra.heights, vertebra.deformity, vertebra.density]
    if vertebra.heights is not None and not isinstance(vertebra.heights, Withheld):
        parts += [vertebra.heights.anterior, vertebra.heights.middle, vertebra.heights.posterior]
    if vertebra.deformity is not None and not isinstance(vertebra.deformity, Withheld):
        parts.append(vertebra.deformity.height_loss)
    if vertebra.density is not None and not isinstance(vertebra.density, Withheld):
        parts.append(vertebra.density.mean)
    return [part for part in parts if isinstance(part, Withheld)]
