"""TotalSegmentator's vertebrae, where somebody has put its weights on this machine.

Only the weights are used (``totalseg_download_weights -t total``): its network is built here from the
plan that lies beside them, and asked by our own code. So neither its package nor nnU-Net has to be
installed, nothing is downloaded, and no usage statistics leave the hospital, which its own Python
interface would send with every study.

Source of the facts: TotalSegmentator 2.18 (Apache-2.0; Wasserthal et al., Radiology AI 2023,
doi 10.1148/ryai.230024), ``map_tasks_config.py`` and ``map_to_binary.py``: model 292 finds the vertebrae
at 1.5 mm, model 297 everything at 3 mm; images are turned to R, A, S. Its own package resamples them by cubic
splines (``nnunet.py``: ``change_spacing`` with order 3); here it is done linearly, as for every engine, which in
slices of 3 to 5 mm shows the network softer edges than it was trained on. What that costs was not measured: no weights
were here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.compute import Compute
from models.engines.network import EngineFileError, NetworkEngine, Recipe, file_digest
from models.engines.plain_unet import PlainUNet, PlanError, UNetPlan
from models.engines.structures import structure_of

NAME = "TotalSegmentator vertebrae"
FINE_MODEL, FAST_MODEL = 292, 297
CONFIGURATION = "3d_fullres"
ORIENTATION = "HAR"
"""nnU-Net reads a NIfTI file last axis first: R, A, S becomes head, front, right."""
REMEDY = "get the weights with `totalseg_download_weights -t total` or set TOTALSEG_WEIGHTS_PATH to their folder"


def weights_folder() -> Path:
    """Where TotalSegmentator keeps its weights, by its own rules (``totalsegmentator/config.py``)."""
    if "TOTALSEG_WEIGHTS_PATH" in os.environ:
        return Path(os.environ["TOTALSEG_WEIGHTS_PATH"])
    home = os.environ.get("TOTALSEG_HOME_DIR")
    return (Path(home) if home else Path.home() / ".totalsegmentator") / "nnunet" / "results"


def load_totalsegmentator(
    folder: Path | None = None, fast: bool = False, compute: Compute | None = None
) -> NetworkEngine:
    """The engine, with its weights.

    Args:
        folder: Where the weights lie (``Dataset292_…`` is in it); by default where it puts them.
        fast: The 3 mm model of all structures rather than the 1.5 mm model of the vertebrae.
        compute: Where, and how precisely; by default the fastest that this machine has.

    Raises:
        EngineFileError: The weights are missing or are not what they should be.
    """
    root = weights_folder() if folder is None else folder
    number = FAST_MODEL if fast else FINE_MODEL
    models = sorted(root.glob(f"Dataset{number}_*/*__{CONFIGURATION}"))
    if not models:
        msg = f"no weights of TotalSegmentator's model {number} in {root}; {REMEDY}"
        raise EngineFileError(msg)
    return load_trained(models[0], compute)


def load_trained(model: Path, compute: Compute | None = None) -> NetworkEngine:
    """An engine from one trained model of nnU-Net whose labels carry TotalSegmentator's names.

    Args:
        model: Its folder, with ``plans.json``, ``dataset.json`` and ``fold_0/checkpoint_final.pth``.
        compute: Where, and how precisely.

    Raises:
        EngineFileError: A file is missing or is not what it should be.
    """
    files = [model / "plans.json", model / "dataset.json", model / "fold_0" / "checkpoint_final.pth"]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        msg = f"{model} lacks {', '.join(missing)}; {REMEDY}"
        raise EngineFileError(msg)
    try:
        plans, dataset = (json.loads(file.read_text(encoding="utf-8")) for file in files[:2])
        recipe = _recipe(plans, dataset)
        network = PlainUNet(UNetPlan.read(plans["configurations"][CONFIGURATION]), len(dataset["labels"]))
        network.load(_read_checkpoint(files[2]))
    except (PlanError, KeyError, ValueError, RuntimeError) as error:
        msg = f"the model in {model} cannot be used ({type(error).__name__}: {error}); {REMEDY}"
        raise EngineFileError(msg) from error
    compute = Compute.here() if compute is None else compute
    network.eval().requires_grad_(False)
    own = f"{FINE_MODEL if recipe.spacing[0] < 2 else FAST_MODEL}"
    return NetworkEngine(NAME, f"v2 model {own}", file_digest(*files), network.to(compute.device), recipe, compute)


def _recipe(plans: dict[str, Any], dataset: dict[str, Any]) -> Recipe:
    facts = plans["configurations"][CONFIGURATION]
    if list(plans.get("transpose_forward", [0, 1, 2])) != [0, 1, 2]:
        msg = "a plan that exchanges axes is not understood"
        raise PlanError(msg)
    if facts["normalization_schemes"] != ["CTNormalization"]:
        msg = f"the normalisation {facts['normalization_schemes']} is not understood, only CTNormalization"
        raise PlanError(msg)
    intensity = plans["foreground_intensity_properties_per_channel"]["0"]
    labels = {int(number): str(name) for name, number in dataset["labels"].items()}
    structures = {number: structure_of(name) for number, name in labels.items()}
    spacing, window = [float(edge) for edge in facts["spacing"]], [int(n) for n in facts["patch_size"]]
    return Recipe(
        orientation=ORIENTATION,
        spacing=(spacing[0], spacing[1], spacing[2]),
        window=(window[0], window[1], window[2]),
        clip=(float(intensity["percentile_00_5"]), float(intensity["percentile_99_5"])),
        shift=float(intensity["mean"]),
        scale=max(float(intensity["std"]), 1e-8),
        structures={number: structure for number, structure in structures.items() if structure is not None},
        class_count=len(labels),
    )


def _read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """The weights, without executing what else a checkpoint of nnU-Net could hold."""
    # Its log holds numpy scalars; they are numbers and nothing that runs.
    numbers: list[Any] = [
        np.float64(0).__reduce__()[0],
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("f4", "f8", "i8")),
    ]
    with torch.serialization.safe_globals(numbers):
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    weights: dict[str, torch.Tensor] = state["network_weights"]
    return weights
