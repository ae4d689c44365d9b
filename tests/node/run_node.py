"""``python -m tests.node.run_node SETTINGS READER…``: osteon serve with another reader process."""

from __future__ import annotations

import sys
from pathlib import Path

from node.service import serve
from node.settings import load_settings

if __name__ == "__main__":
    sys.exit(serve(load_settings(Path(sys.argv[1])), tuple(sys.argv[2:])))
