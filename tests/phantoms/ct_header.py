"""The headers of the phantom's DICOM objects: clearly synthetic, and the same for the same seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

IMPLEMENTATION = UID("2.25.226413390431498736493108853406290617581")
"""Implementation Class UID of the phantom writer."""


def uid(*parts: object) -> UID:
    """A UID that depends on the parts alone."""
    digest = hashlib.sha256("\x1f".join(str(p) for p in parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


@dataclass(frozen=True)
class CTHeader:
    """What the header of a series says beside its geometry.

    Attributes:
        seed: Decides every UID: two series of one study share the seed and differ in the number.
        patient_name, patient_id, birth_date, sex: Of the patient; ``age`` as in DICOM (``070Y``).
        study_date, study_time, study_description, accession: Of the study.
        study_uid, series_uid: Where they must be given ones.
        series_number, series_description, image_type: Of the series.
        kvp: Tube voltage, kV; None leaves it empty.
        kernel: Convolution kernel.
        contrast_agent: Text of Contrast/Bolus Agent; None leaves the module out.
        character_set: Specific Character Set.
        manufacturer, model: Of the scanner.
        transfer_syntax: Explicit or implicit little endian, RLE, JPEG-LS lossless, JPEG 2000 lossless
            (these by pydicom), or JPEG lossless (by DCMTK's dcmcjpeg, which must be installed).
        signed: Pixel representation.
        slope, intercept: Rescaling of the stored values.
        shuffled: True to number the instances and name the files in an order that is not spatial.
        frame_of_reference: False to leave the frame of reference out.
    """

    seed: str = "phantom"
    patient_name: str = "PHANTOM^OSTEON"
    patient_id: str = "OSTEON-PHANTOM"
    birth_date: str = "19560301"
    sex: str = "F"
    age: str = "069Y"
    study_date: str = "20260105"
    study_time: str = "083000"
    study_description: str = "CT ABDOMEN PHANTOM"
    accession: str = "PHANTOM1"
    study_uid: str | None = None
    series_uid: str | None = None
    series_number: int = 2
    series_description: str = "Axial"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    kvp: float | None = 120.0
    kernel: str = "B30f"
    contrast_agent: str | None = None
    character_set: str = "ISO_IR 100"
    manufacturer: str = "Osteon"
    model: str = "Digital spine phantom"
    transfer_syntax: UID = ExplicitVRLittleEndian
    signed: bool = True
    slope: float = 1.0
    intercept: float = -1024.0
    shuffled: bool = False

    @property
    def study(self) -> UID:
        """Study Instance UID."""
        return UID(self.study_uid) if self.study_uid else uid(self.seed, "study")

    @property
    def series(self) -> UID:
        """Series Instance UID."""
        if self.series_uid:
            return UID(self.series_uid)
        return uid(self.study, "series", self.series_number, self.series_description)

    @property
    def frame_of_reference(self) -> UID:
        """Frame of Reference UID, shared by all series of a study."""
        return uid(self.study, "frame of reference")

    def instance(self, *parts: object) -> UID:
        """SOP Instance UID of a part of the series."""
        return uid(self.series, "instance", *parts)


def file_meta(sop_class: UID, instance: UID, transfer_syntax: UID = ExplicitVRLittleEndian) -> FileMetaDataset:
    """The file meta information of one object."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION
    return meta


def new_object(header: CTHeader, sop_class: UID, instance: UID, number: int) -> Dataset:
    """A data set with the modules that every object of the phantom has: patient to SOP common."""
    ds = Dataset()
    ds.SpecificCharacterSet = header.character_set
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, instance
    ds.PatientName, ds.PatientID = header.patient_name, header.patient_id
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = header.birth_date, header.sex, header.age
    ds.StudyInstanceUID, ds.StudyID = header.study, "1"
    ds.StudyDate, ds.StudyTime = header.study_date, header.study_time
    ds.StudyDescription, ds.AccessionNumber = header.study_description, header.accession
    ds.ReferringPhysicianName = ""
    ds.Modality = "CT"
    ds.SeriesInstanceUID, ds.SeriesNumber = header.series, header.series_number
    ds.SeriesDescription = header.series_description
    ds.SeriesDate, ds.SeriesTime = header.study_date, header.study_time
    # An unpaired body part: otherwise the standard asks for a laterality.
    ds.BodyPartExamined = "SPINE"
    ds.Manufacturer, ds.ManufacturerModelName = header.manufacturer, header.model
    ds.DeviceSerialNumber, ds.SoftwareVersions = "1", "phantom"
    ds.InstanceNumber = number
    ds.ContentDate, ds.ContentTime = header.study_date, header.study_time
    ds.file_meta = file_meta(sop_class, instance)
    return ds


def add_frame_of_reference(ds: Dataset, header: CTHeader) -> None:
    """The patient lies head first and supine."""
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = header.frame_of_reference
    ds.PositionReferenceIndicator = ""


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def stored_values(hu: NDArray[np.floating], header: CTHeader) -> NDArray[np.integer]:
    """Stored values for CT numbers: rounded, int16 or uint16.

    Raises:
        ValueError: A value does not fit.
    """
    kind = np.int16 if header.signed else np.uint16
    values = np.rint((np.asarray(hu, np.float64) - header.intercept) / header.slope)
    limits = np.iinfo(kind)
    if values.min() < limits.min or values.max() > limits.max:
        msg = f"CT numbers {hu.min():.0f} to {hu.max():.0f} do not fit into {kind.__name__}"
        raise ValueError(msg)
    return values.astype(kind)
