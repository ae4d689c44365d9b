"""UIDs that follow from content."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from operators.reading.options import Kind
from operators.results.identity import ResultIdentity, derive_uid, stand_in_frame_of_reference
from tests.operators.small_case import reading

BASE = ResultIdentity.of(reading())


def test_the_identity_comes_from_input_and_engine() -> None:
    expected = ResultIdentity(
        study_uid="1.2.826.0.1.3680043.10.1555.1",
        content_digest="ab" * 32,
        pipeline="0.1.0",
        engine="osteon",
        engine_version="1.2",
        engine_digest="cd" * 32,
    )
    assert expected == BASE


def test_a_derived_uid_is_a_version_8_uuid_over_sha_256() -> None:
    uid = derive_uid("a", "b")
    value = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    digest = hashlib.sha256(b'["osteon", "a", "b"]').hexdigest()
    assert value.hex[:12] == digest[:12]
    assert value.hex[12] == "8"
    assert value.hex[13:16] == digest[13:16]
    assert value.variant == uuid.RFC_4122
    assert value.hex[17:] == digest[17:32]


def test_names_do_not_run_into_each_other() -> None:
    assert derive_uid("a", "bc") != derive_uid("ab", "c")
    assert derive_uid("a,b") != derive_uid("a", "b")


@pytest.mark.parametrize(
    "uid", [BASE.series_uid(Kind.REPORT), BASE.device_uid, stand_in_frame_of_reference("1." + "9" * 62)]
)
def test_uids_are_valid(uid: str) -> None:
    assert len(uid) <= 64
    assert int(uid.removeprefix("2.25.")) < 2**128
    assert not uid.removeprefix("2.25.").startswith("0")


def test_everything_in_one_result_has_its_own_uid() -> None:
    uids = [
        method(kind)
        for kind in Kind
        for method in (BASE.series_uid, BASE.instance_uid, BASE.dimension_uid)
    ]  # fmt: skip
    uids += [
        BASE.tracking_uid("L1", "vertebra"),
        BASE.tracking_uid("L1", "fracture"),
        BASE.tracking_uid("L2", "vertebra"),
    ]
    uids += [BASE.device_uid, BASE.algorithm_uid]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize(
    "changed",
    ["content_digest", "pipeline", "engine", "engine_version", "engine_digest", "study_uid", "second_opinion"],
)
def test_any_change_of_input_or_reader_gives_other_objects(changed: str) -> None:
    other = replace(BASE, **{changed: "other"})
    assert other.series_uid(Kind.REPORT) != BASE.series_uid(Kind.REPORT)
    assert other.instance_uid(Kind.SEGMENTATION) != BASE.instance_uid(Kind.SEGMENTATION)


def test_tracking_uids_outlive_a_new_version_but_not_the_study() -> None:
    later = replace(BASE, pipeline="9.0", engine_digest="ff", content_digest="00")
    assert later.tracking_uid("L1", "vertebra") == BASE.tracking_uid("L1", "vertebra")
    assert replace(BASE, study_uid="1.2").tracking_uid("L1", "vertebra") != BASE.tracking_uid("L1", "vertebra")


def test_retrained_weights_are_another_algorithm_of_the_same_device() -> None:
    retrained = replace(BASE, engine_digest="ff")
    assert retrained.algorithm_uid != BASE.algorithm_uid
    assert retrained.device_uid == BASE.device_uid


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: BASE.instance_uid(Kind.SEGMENTATION), "2.25.85252057777629330346543559676931471733"),
        (lambda: BASE.instance_uid(Kind.REPORT), "2.25.13572261972640006338215360629485449646"),
        (lambda: BASE.tracking_uid("L1", "vertebra"), "2.25.56521822523549903625443507551352874298"),
    ],
)
def test_uids_stay_the_same_from_release_to_release(make: Callable[[], str], expected: str) -> None:
    """Archives hold objects under these UIDs: a change here makes twins of them."""
    assert make() == expected
