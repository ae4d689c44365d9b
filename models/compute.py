"""On which device the networks run, and how precisely."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import torch

GPU_BATCH = 8
"""Vertebrae that the fine network sees at once on a GPU. On a processor it sees one: that one's
tensors fit into the cache."""


@dataclass(frozen=True)
class Compute:
    """On which device the networks run, and how precisely.

    Attributes:
        device: Where.
        precision: What convolutions compute in; None leaves it at float32.
    """

    device: torch.device
    precision: torch.dtype | None

    @classmethod
    def here(cls) -> Self:
        """The fastest that this machine has: a GPU with mixed precision, or the processor.

        bfloat16 where the hardware computes it itself. On other GPUs float16, on other processors
        float32: there bfloat16 is emulated and slower.
        """
        if torch.cuda.is_available():
            own = torch.cuda.is_bf16_supported(including_emulation=False)
            return cls(torch.device("cuda"), torch.bfloat16 if own else torch.float16)
        return cls.on_processor(fast_precision())

    @classmethod
    def on_processor(cls, fast: bool) -> Self:
        """The processor, in bfloat16 where ``fast``."""
        return cls(torch.device("cpu"), torch.bfloat16 if fast else None)

    @property
    def batch(self) -> int:
        """Vertebrae that the fine network sees at once."""
        return 1 if self.device.type == "cpu" else GPU_BATCH

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which a network is asked."""
        enabled = self.precision is not None
        return torch.autocast(self.device.type, dtype=self.precision, enabled=enabled)


def fast_precision() -> bool:
    """Whether bfloat16 is computed by the processor itself rather than emulated."""
    capable = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(capable and capable())
