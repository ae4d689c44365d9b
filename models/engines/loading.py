"""Engines made of what the settings say of them.

TorchScript is read rather than imported: the file holds the network and no Python code that would run
on loading, but it is a program all the same, so use files whose origin you know.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.compute import Compute
from models.engine import VertebraEngine
from models.engines.network import EngineFileError, NetworkEngine, Recipe, file_digest
from models.engines.registry import ENGINES
from models.engines.spec import AnySpec, MonaiBundleSpec, NetworkSpec, TorchScriptSpec, TotalSegmentatorSpec
from models.engines.structures import ALLOWED, structure_of
from models.engines.totalsegmentator import load_totalsegmentator

_NIFTI_TO_DICOM = {"R": "R", "L": "L", "A": "A", "P": "P", "S": "H", "I": "F"}


@dataclass(frozen=True)
class _Factory:
    """Makes the engine of a specification; equal for equal ones, so that weights stay loaded."""

    name: str
    spec: AnySpec

    def __call__(self) -> VertebraEngine:
        return load_engine(self.name, self.spec)


def register_engines(specs: Mapping[str, AnySpec]) -> None:
    """Make a site's engines known under their names. Those that have not changed keep their weights."""
    for name, spec in specs.items():
        ENGINES.register(name, _Factory(name, spec))


def load_engine(name: str, spec: AnySpec, compute: Compute | None = None) -> VertebraEngine:
    """The engine of a specification.

    Args:
        name: What the site calls it.
        spec: What the site says of it.
        compute: Where, and how precisely; by default the fastest that this machine has.

    Raises:
        EngineFileError: A file is missing or is not what it should be.
    """
    if isinstance(spec, TotalSegmentatorSpec):
        return load_totalsegmentator(spec.folder, spec.fast, compute)
    if isinstance(spec, TorchScriptSpec):
        return _load_script(name, spec, spec.file, f"engines.{name}.file", dict(spec.labels), compute)
    file = spec.folder / "models" / "model.ts"
    labels = dict(spec.labels) or _bundle_labels(spec.folder / "configs" / "metadata.json", name)
    return _load_script(name, spec, file, f"engines.{name}.folder", labels, compute)


def _load_script(
    name: str, spec: NetworkSpec, file: Path, key: str, labels: dict[int, str], compute: Compute | None
) -> NetworkEngine:
    if not file.is_file():
        hint = "; make it with `python -m monai.bundle ckpt_export`" if isinstance(spec, MonaiBundleSpec) else ""
        msg = f"{file} does not exist; set {key}{hint}"
        raise EngineFileError(msg)
    compute = Compute.here() if compute is None else compute
    try:
        with warnings.catch_warnings():
            # PyTorch recommends torch.export for new files; the files of bundles are TorchScript.
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(file), map_location=compute.device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        msg = f"{file} is no TorchScript; set {key} to a file written by torch.jit.save"
        raise EngineFileError(msg) from error
    network.eval()
    found = {number: structure_of(label) for number, label in labels.items()}
    recipe = Recipe(
        orientation="".join(_NIFTI_TO_DICOM[letter] for letter in spec.orientation),
        spacing=spec.spacing,
        window=spec.window,
        clip=spec.clip,
        shift=spec.shift,
        scale=spec.scale,
        structures={number: structure for number, structure in found.items() if structure is not None},
        class_count=None,
    )
    deciding = spec.model_dump_json(exclude={"file", "folder"})
    return NetworkEngine(name[:64], "1", file_digest(file, also=deciding), network, recipe, compute)


def _bundle_labels(file: Path, name: str) -> dict[int, str]:
    """The label table of a bundle, as far as it is of the spine."""
    remedy = f"set engines.{name}.labels"
    try:
        metadata: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        table: dict[str, str] = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        labels = {int(number): label for number, label in table.items() if structure_of(label) is not None}
    except FileNotFoundError as error:
        msg = f"{file} does not exist; {remedy} or set engines.{name}.folder to a MONAI bundle"
        raise EngineFileError(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{file} has no table of classes (network_data_format.outputs.pred.channel_def); {remedy}"
        raise EngineFileError(msg) from error
    if not labels:
        msg = f"{file} names no structure of the spine; {remedy} (allowed: {ALLOWED})"
        raise EngineFileError(msg)
    return labels
