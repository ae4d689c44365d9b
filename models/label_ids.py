"""What the numbers of a label map mean: the ids of TotalSegmentator v2, as far as they are of the spine.

All label maps here carry them, those that networks are trained on and those that engines of others answer with, as the
geometry that splits a vertebra speaks them. T13, L6 and discs, for which TotalSegmentator has no id, get unused ones.
"""

from __future__ import annotations

from models.anatomy import RARE_LEVELS, Level

SACRUM_ID = 25
S1_ID = 26
HIGHEST_ID = 50
"""C1; ids fall by one from level to level towards the feet."""
CORD_ID = 79
"""The spinal cord or its canal."""
RIB_IDS = range(92, 116)
DISC_ID = 117
ID_OF = {level: HIGHEST_ID - place for place, level in enumerate(level for level in Level if level not in RARE_LEVELS)}
ID_OF |= {Level.T13: 118, Level.L6: 119}
"""Id of every vertebra."""
LEVEL_OF = {number: level for level, number in ID_OF.items()}
