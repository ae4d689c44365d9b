"""nnU-Net's plain convolutional U-Net, built from the facts of a plan, with the parameter names of its weights.

The plan's language and the network are described in nnU-Net's documentation (explanation_plans_files.md,
Apache-2.0) and in ``dynamic_network_architectures``; this is a network of the same shape that loads
the same weights, so that neither nnU-Net nor its dependencies are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class PlanError(ValueError):
    """A plan describes a network that is not understood here."""


@dataclass(frozen=True)
class UNetPlan:
    """The facts that decide the network.

    Attributes:
        features: Channels of every stage, finest first.
        kernels: Kernel of every stage ``(a, b, c)``.
        strides: Stride at the beginning of every stage.
        encoder_convolutions: Convolutions of every stage on the way down.
        decoder_convolutions: Convolutions of every stage on the way up, coarsest first.
    """

    features: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    encoder_convolutions: tuple[int, ...]
    decoder_convolutions: tuple[int, ...]

    @classmethod
    def read(cls, configuration: Mapping[str, Any]) -> UNetPlan:
        """From one configuration of ``plans.json``, in the older or in the newer language.

        Raises:
            PlanError: It is no plain U-Net, or a fact is missing.
        """
        try:
            if "architecture" in configuration:
                return cls._newer(configuration["architecture"])
            return cls._older(configuration)
        except (KeyError, TypeError) as error:
            msg = f"the plan lacks {error}, or holds something else there"
            raise PlanError(msg) from error

    @classmethod
    def _newer(cls, architecture: Mapping[str, Any]) -> UNetPlan:
        _refuse_others(str(architecture["network_class_name"]).rsplit(".", 1)[-1])
        facts = architecture["arch_kwargs"]
        return cls(
            tuple(facts["features_per_stage"]),
            tuple(tuple(kernel) for kernel in facts["kernel_sizes"]),
            tuple(tuple(stride) for stride in facts["strides"]),
            _each(facts["n_conv_per_stage"], len(facts["features_per_stage"])),
            _each(facts["n_conv_per_stage_decoder"], len(facts["features_per_stage"]) - 1),
        )

    @classmethod
    def _older(cls, facts: Mapping[str, Any]) -> UNetPlan:
        _refuse_others(str(facts["UNet_class_name"]))
        stages = len(facts["n_conv_per_stage_encoder"])
        least, most = int(facts["UNet_base_num_features"]), int(facts["unet_max_num_features"])
        return cls(
            tuple(min(least * 2**stage, most) for stage in range(stages)),
            tuple(tuple(kernel) for kernel in facts["conv_kernel_sizes"]),
            tuple(tuple(stride) for stride in facts["pool_op_kernel_sizes"]),
            tuple(facts["n_conv_per_stage_encoder"]),
            tuple(facts["n_conv_per_stage_decoder"]),
        )


def _each(value: int | Sequence[int], count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


def _refuse_others(name: str) -> None:
    if name != "PlainConvUNet":
        msg = f"the plan asks for the network {name}; only PlainConvUNet can be built"
        raise PlanError(msg)


class _Convolution(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        padding = tuple((size - 1) // 2 for size in kernel)
        self.conv = nn.Conv3d(inputs, outputs, tuple(kernel), tuple(stride), padding)  # type: ignore[arg-type]
        self.norm = nn.InstanceNorm3d(outputs, eps=1e-5, affine=True)
        self.nonlin = nn.LeakyReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.nonlin(self.norm(self.conv(features)))
        return result


class _Stack(nn.Module):
    def __init__(self, count: int, inputs: int, outputs: int, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        still = (1,) * len(kernel)
        self.convs = nn.Sequential(
            _Convolution(inputs, outputs, kernel, stride),
            *(_Convolution(outputs, outputs, kernel, still) for _ in range(count - 1)),
        )

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.convs(features)
        return result


class _Encoder(nn.Module):
    def __init__(self, inputs: int, plan: UNetPlan) -> None:
        super().__init__()
        channels = (inputs, *plan.features)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(_Stack(count, channels[i], channels[i + 1], plan.kernels[i], plan.strides[i]))
                for i, count in enumerate(plan.encoder_convolutions)
            )
        )


class _Decoder(nn.Module):
    def __init__(self, classes: int, plan: UNetPlan) -> None:
        super().__init__()
        upwards = list(range(len(plan.features) - 2, -1, -1))
        self.transpconvs = nn.ModuleList(
            nn.ConvTranspose3d(plan.features[i + 1], plan.features[i], plan.strides[i + 1], plan.strides[i + 1])  # type: ignore[arg-type]
            for i in upwards
        )
        still = (1, 1, 1)
        self.stages = nn.ModuleList(
            _Stack(count, 2 * plan.features[i], plan.features[i], plan.kernels[i], still)
            for i, count in zip(upwards, plan.decoder_convolutions, strict=True)
        )
        self.seg_layers = nn.ModuleList(nn.Conv3d(plan.features[i], classes, 1) for i in upwards)


class PlainUNet(nn.Module):
    """The network.

    Args:
        plan: Its shape.
        classes: Scores per voxel.
        inputs: Channels of the image.
    """

    def __init__(self, plan: UNetPlan, classes: int, inputs: int = 1) -> None:
        super().__init__()
        self.encoder = _Encoder(inputs, plan)
        self.decoder = _Decoder(classes, plan)

    def forward(self, image: Tensor) -> Tensor:
        """Image ``(n, inputs, a, b, c)`` to scores ``(n, classes, a, b, c)``."""
        skips = []
        for stage in self.encoder.stages:
            image = stage(image)
            skips.append(image)
        features = skips.pop()
        for raising, stage in zip(self.decoder.transpconvs, self.decoder.stages, strict=True):
            features = stage(torch.cat([raising(features), skips.pop()], dim=1))
        result: Tensor = self.decoder.seg_layers[-1](features)
        return result

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load nnU-Net's weights, which name every parameter up to four times.

        Raises:
            RuntimeError: They are those of another network.
        """
        own = {
            name.removeprefix("_orig_mod."): value
            for name, value in weights.items()
            if ".all_modules." not in name and "decoder.encoder." not in name
        }
        self.load_state_dict(own)
