"""What a MONAI Application Package runs: the graph over HOLOSCAN_INPUT_PATH into HOLOSCAN_OUTPUT_PATH."""

import sys

from operators.application import main

sys.exit(main())
