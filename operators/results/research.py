"""The one sentence that every result carries."""

from __future__ import annotations

RESEARCH_MARK = "Research use only: automatic, unverified, not for diagnosis."
SHORT_MARK = "AI, research use only"
"""Where a line of a picture has no room for the whole: it stands on every slice of a presentation state."""
