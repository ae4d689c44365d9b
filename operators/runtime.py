"""Gets the libraries below the graph ready on a machine without a GPU, without CUDA folders, with 8 MB stacks.

Call :func:`prepare` before anything imports ``monai.deploy`` or ``holoscan``. It can be called again.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import resource
from pathlib import Path

import pydicom.config

_STACK = 32 * 1024 * 1024
"""What Holoscan asks for, in bytes; below it, it warns of crashes."""


def prepare() -> None:
    """Load the CUDA runtime from its wheel, widen the stack, and quieten the libraries."""
    _load_cuda_runtime()
    _widen_stack()
    _keep_patient_data_out_of_warnings()
    # Holoscan prints an operator's exception by itself, on top of raising it: once is enough.
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "OFF")


def _load_cuda_runtime() -> None:
    """Make ``libcudart.so.13`` known to the process: the SDK links it even where there is no GPU."""
    package = importlib.util.find_spec("nvidia")
    for folder in (package.submodule_search_locations or []) if package else []:
        library = Path(folder) / "cu13" / "lib" / "libcudart.so.13"
        if library.exists():
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            return


def _widen_stack() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft == resource.RLIM_INFINITY or soft >= _STACK:
        return
    if hard == resource.RLIM_INFINITY or hard >= _STACK:
        resource.setrlimit(resource.RLIMIT_STACK, (_STACK, hard))


def _keep_patient_data_out_of_warnings() -> None:
    """Stop pydicom from quoting values that break a rule of their VR: a patient's name may be one."""
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    logging.getLogger("pydicom").setLevel(logging.ERROR)
