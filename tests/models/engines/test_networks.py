"""Networks of others as engines: TotalSegmentator's weights, TorchScript and MONAI bundles."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from models.anatomy import Level, Region
from models.compute import Compute
from models.engines.loading import load_engine, register_engines
from models.engines.network import EngineFileError
from models.engines.plain_unet import PlainUNet, PlanError, UNetPlan
from models.engines.registry import ENGINES
from models.engines.sliding import NetworkOutputError, ask, window_count, window_starts
from models.engines.spec import EngineSpec
from models.engines.totalsegmentator import load_totalsegmentator, weights_folder
from tests.models import built
from tests.models.engines.test_labelmap import HPL, dice

CPU = Compute(torch.device("cpu"), None)
SPECS: TypeAdapter[EngineSpec] = TypeAdapter(EngineSpec)
LABELS = {1: "L4", 2: "L3", 3: "L2", 4: "L1", 5: "canal"}


class Echo(nn.Module):
    """Reads the class off the value: what it is shown decides what it says, so that the way there is tested."""

    def forward(self, image: Tensor) -> Tensor:
        wanted = torch.arange(6, device=image.device).reshape(1, 6, 1, 1, 1)
        return -8.0 * (image - wanted) ** 2


def script(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(Echo()), str(file))
    return file


def painted_volume() -> hd.Volume:
    """A CT whose HU say the class: ten times its number."""
    labels = built.label_map()
    hu = np.zeros(labels.shape, np.int16)
    for number, value in {1: 28, 2: 29, 3: 30, 4: 31, 5: 79}.items():
        hu[labels == value] = 10 * number
    return hd.Volume(hu, HPL @ np.diag([built.SPACING] * 3 + [1.0]), coordinate_system="PATIENT")


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return script(tmp_path_factory.mktemp("engine") / "echo.ts")


def spec(file: Path, **changes: object) -> EngineSpec:
    given = {"kind": "torchscript", "file": str(file), "spacing": [1.5] * 3, "scale": 10.0, "labels": LABELS}
    return SPECS.validate_python(given | {"window": [64, 48, 64]} | changes)


@pytest.mark.parametrize(("network", "scanner"), [("RAS", "HPL"), ("SPL", "RAF"), ("ILA", "PLH"), ("LPS", "FRA")])
def test_network_and_scanner_may_order_their_axes_as_they_like(echo: Path, network: str, scanner: str) -> None:
    volume = painted_volume().to_patient_orientation(scanner)
    engine = load_engine("echo", spec(echo, orientation=network), CPU)
    result = engine.segment(volume)
    assert result.labels.geometry_equal(volume)
    assert [v.level for v in result.vertebrae] == [Level.L1, Level.L2, Level.L3, Level.L4]
    value = volume.array
    for vertebra, wanted in zip(result.vertebrae, (40, 30, 20, 10), strict=True):
        assert dice(result.labels.array == vertebra.number, value == wanted) > 0.97
    centre = [built.SPACING * v for v in built.centre(0)]
    assert np.allclose(result.vertebrae[0].centroid, centre[::-1], atol=2.0)
    assert np.count_nonzero(result.regions.array == Region.BODY) > 10_000


def test_coarser_and_uneven_spacing_of_the_network_keeps_place_and_names(echo: Path) -> None:
    volume = painted_volume()
    result = load_engine("echo", spec(echo, spacing=[2.0, 2.0, 3.0], orientation="RAS"), CPU).segment(volume)
    assert [v.level for v in result.vertebrae] == [Level.L1, Level.L2, Level.L3, Level.L4]
    assert dice(result.labels.array > 0, (volume.array > 5) & (volume.array < 45)) > 0.85


def test_air_gives_an_empty_result_with_a_reason(echo: Path) -> None:
    air = painted_volume().with_array(np.full((100, 80, 80), -1024, np.int16))
    result = load_engine("echo", spec(echo), CPU).segment(air)
    assert result.vertebrae == ()
    assert "air" in result.remarks[0]


def test_digest_follows_the_file_and_what_the_settings_say_of_it(echo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere.ts"
    copy.write_bytes(echo.read_bytes())
    digests = [load_engine("echo", one, CPU).digest for one in (spec(echo), spec(copy), spec(echo, scale=20.0))]
    assert digests[0] == digests[1] != digests[2]


def test_engine_of_the_settings_is_known_by_its_name_and_stays_loaded(echo: Path) -> None:
    register_engines({"echo": spec(echo)})
    first = ENGINES.get("echo")
    register_engines({"echo": spec(echo)})
    assert ENGINES.get("echo") is first
    register_engines({"echo": spec(echo, scale=11.0)})
    assert ENGINES.get("echo") is not first
    ENGINES.unregister("echo")


def test_monai_bundle_brings_its_own_table_of_classes(tmp_path: Path) -> None:
    script(tmp_path / "models" / "model.ts")
    table = {"0": "background"} | {str(k): f"vertebrae_{v}" if v[0] == "L" else v for k, v in LABELS.items()}
    (tmp_path / "configs").mkdir()
    metadata = {"network_data_format": {"outputs": {"pred": {"channel_def": table}}}}
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps(metadata))
    given = {"kind": "monai-bundle", "folder": str(tmp_path), "spacing": [1.5] * 3, "scale": 10.0, "window": [64] * 3}
    result = load_engine("bundle", SPECS.validate_python(given), CPU).segment(painted_volume())
    assert [v.level for v in result.vertebrae] == [Level.L1, Level.L2, Level.L3, Level.L4]


def test_files_that_cannot_be_used_name_the_key_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineFileError, match=r"gone\.ts does not exist; set engines\.mine\.file"):
        load_engine("mine", spec(tmp_path / "gone.ts"), CPU)
    wrong = tmp_path / "wrong.ts"
    wrong.write_bytes(b"not a network")
    with pytest.raises(EngineFileError, match=r"is no TorchScript; set engines\.mine\.file"):
        load_engine("mine", spec(wrong), CPU)
    bundle = {"kind": "monai-bundle", "folder": str(tmp_path), "spacing": [1.5] * 3}
    with pytest.raises(EngineFileError, match=r"set engines\.mine\.labels or set engines\.mine\.folder"):
        load_engine("mine", SPECS.validate_python(bundle), CPU)
    with pytest.raises(EngineFileError, match="totalseg_download_weights"):
        load_totalsegmentator(tmp_path, compute=CPU)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"labels": {1: "liver"}}, "no structure of the spine; allowed: a level"),
        ({"orientation": "RAR"}, "three directions like RAS"),
        ({"spacing": [0, 1, 1]}, "greater than 0.2"),
        ({"colour": 1}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(echo: Path, change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        spec(echo, **change)


def test_network_that_answers_in_another_shape_is_refused(echo: Path) -> None:
    with pytest.raises(NetworkOutputError, match="one score per class"):
        ask(nn.Conv3d(1, 4, 3), np.zeros((16, 16, 16), np.float32), (8, 8, 8), 4, CPU)


def test_windows_cover_everything_with_half_of_them_shared() -> None:
    assert window_starts(128, 128) == [0]
    assert window_starts(100, 64) == [0, 18, 36]
    assert window_count((256, 128, 100), (128, 128, 128)) == 3
    image = np.random.default_rng(0).integers(0, 6, (90, 70, 40)).astype(np.float32)
    answer = ask(Echo(), image, (32, 48, 64), None, CPU)
    assert np.array_equal(answer.classes, image)
    assert answer.certainty.min() > 250


PUBLISHED = {
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 32,
    "unet_max_num_features": 320,
    "n_conv_per_stage_encoder": [2] * 6,
    "n_conv_per_stage_decoder": [2] * 5,
    "conv_kernel_sizes": [[3, 3, 3]] * 6,
    "pool_op_kernel_sizes": [[1, 1, 1]] + [[2, 2, 2]] * 5,
}
"""The network of TotalSegmentator's model 292 in the language of its plans.json."""


def trained_model(results: Path, seed: int) -> None:
    """A folder as TotalSegmentator lays it out, with a small network of the same kind and random weights."""
    model = results / "Dataset292_TotalSegmentator_part2_vertebrae_1532subj" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (model / "fold_0").mkdir(parents=True)
    small = PUBLISHED | {
        "UNet_base_num_features": 4,
        "unet_max_num_features": 16,
        "n_conv_per_stage_encoder": [2] * 3,
        "n_conv_per_stage_decoder": [2] * 2,
        "conv_kernel_sizes": [[3, 3, 3]] * 3,
        "pool_op_kernel_sizes": [[1, 1, 1]] + [[2, 2, 2]] * 2,
    }
    facts = {"patch_size": [32, 32, 32], "spacing": [1.5] * 3, "normalization_schemes": ["CTNormalization"]}
    hu = {"mean": 100.0, "std": 300.0, "percentile_00_5": -900.0, "percentile_99_5": 1200.0}
    plans = {
        "configurations": {"3d_fullres": small | facts},
        "foreground_intensity_properties_per_channel": {"0": hu},
        "transpose_forward": [0, 1, 2],
    }
    levels = [level for level in reversed(Level) if level not in (Level.L6, Level.T13)]
    labels = {"background": 0, "sacrum": 1} | {f"vertebrae_{level}": 2 + i for i, level in enumerate(levels)}
    (model / "plans.json").write_text(json.dumps(plans))
    (model / "dataset.json").write_text(json.dumps({"labels": labels}))
    torch.manual_seed(seed)
    weights = PlainUNet(UNetPlan.read(small), 27).state_dict()
    twice = {name.replace(".conv.", ".all_modules.0."): value for name, value in weights.items()}
    encoder = {f"decoder.{name}": value for name, value in weights.items() if name.startswith("encoder.")}
    log = {"mean_fg_dice": [np.float64(0.9)], "_best_ema": np.float32(0.5)}
    torch.save(
        {"network_weights": weights | twice | encoder, "logging": log}, model / "fold_0" / "checkpoint_final.pth"
    )


def test_totalsegmentators_weights_are_found_where_it_puts_them_and_read_a_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOTALSEG_HOME_DIR", str(tmp_path))
    monkeypatch.delenv("TOTALSEG_WEIGHTS_PATH", raising=False)
    assert weights_folder() == tmp_path / "nnunet" / "results"
    trained_model(weights_folder(), seed=0)
    engine = load_totalsegmentator(compute=CPU)
    assert (engine.name, engine.version) == ("TotalSegmentator vertebrae", "v2 model 292")
    volume = painted_volume()[:48, 10:58, 10:58].to_patient_orientation("RAF")
    first, second = engine.segment(volume), engine.segment(volume)
    assert first.labels.geometry_equal(volume)
    assert np.array_equal(first.labels.array, second.labels.array)
    assert first.vertebrae == second.vertebrae
    other = tmp_path / "other"
    trained_model(other, seed=1)
    assert load_totalsegmentator(other, compute=CPU).digest != engine.digest


def test_published_plan_is_the_network_of_thirty_one_million_parameters() -> None:
    network = PlainUNet(UNetPlan.read(PUBLISHED), 27).eval()
    names = set(network.state_dict())
    assert "encoder.stages.5.0.convs.1.norm.bias" in names
    assert "decoder.transpconvs.4.weight" in names
    assert "decoder.seg_layers.0.weight" in names
    # Isensee et al. 2021: about 31 million for nnU-Net's usual 3D network.
    assert 30e6 < sum(value.numel() for value in network.parameters()) < 32e6
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 64, 64, 64)).shape == (1, 27, 64, 64, 64)


def test_newer_plans_say_the_same_and_other_networks_are_refused() -> None:
    facts = {
        "features_per_stage": [32, 64, 128, 256, 320, 320],
        "kernel_sizes": [[3, 3, 3]] * 6,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * 5,
        "n_conv_per_stage": [2] * 6,
        "n_conv_per_stage_decoder": [2] * 5,
    }
    where = "dynamic_network_architectures.architectures.unet."
    newer = {"architecture": {"network_class_name": where + "PlainConvUNet", "arch_kwargs": facts}}
    assert UNetPlan.read(newer) == UNetPlan.read(PUBLISHED)
    newer["architecture"]["network_class_name"] = where + "ResidualEncoderUNet"
    with pytest.raises(PlanError, match="only PlainConvUNet"):
        UNetPlan.read(newer)
