"""A volume as one Enhanced CT object: all slices are frames of one file."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom import Dataset, Sequence
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from tests.phantoms.ct_header import CTHeader, add_frame_of_reference, code, new_object, stored_values, uid
from tests.phantoms.stack import Plane, SliceStack


def write_enhanced_ct(
    source: hd.Volume | SliceStack,
    folder: Path,
    header: CTHeader | None = None,
    *,
    slice_thickness: float | None = None,
) -> list[Path]:
    """Write an Enhanced CT object with one frame per slice.

    Args:
        source: As in :func:`tests.phantoms.ct_series.write_ct_series`.
        folder: Made if missing.
        header: Patient, study, series, encoding (not JPEG lossless); ``shuffled`` shuffles the frames.
        slice_thickness: mm; the slice spacing when not given.

    Returns:
        The one file.
    """
    header = header or CTHeader()
    stack = source if isinstance(source, SliceStack) else SliceStack.of(source, Plane.AXIAL, slice_thickness)
    folder.mkdir(parents=True, exist_ok=True)
    order = np.arange(stack.count)
    if header.shuffled:
        order = np.random.default_rng(stack.count).permutation(order)
    ds = new_object(header, EnhancedCTImageStorage, header.instance("enhanced"), 1)
    add_frame_of_reference(ds, header)
    _add_image(ds, header, stack)
    _add_dimensions(ds, header)
    ds.SharedFunctionalGroupsSequence = Sequence([_shared(header, stack)])
    ds.PerFrameFunctionalGroupsSequence = Sequence([_frame(header, stack, int(index)) for index in order])
    pixels = stored_values(stack.hu[order], header)
    ds.PixelData = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    if header.transfer_syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        ds.file_meta.TransferSyntaxUID = header.transfer_syntax
    else:
        ds.compress(header.transfer_syntax, generate_instance_uid=False)
    path = folder / "ENHANCED.dcm"
    ds.save_as(path, enforce_file_format=True)
    return [path]


def _add_image(ds: Dataset, header: CTHeader, stack: SliceStack) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.MultienergyCTAcquisition = "NO"
    ds.AcquisitionNumber = 1
    ds.AcquisitionDateTime = header.study_date + header.study_time
    ds.AcquisitionDuration = 5.0
    ds.ContentQualification = "RESEARCH"
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.PresentationLUTShape = "IDENTITY"
    ds.AcquisitionContextSequence = Sequence([])
    ds.NumberOfFrames = stack.count
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stack.hu.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = int(header.signed)
    if header.contrast_agent is not None:
        agent = code("7140000", "SCT", "Contrast agent")
        agent.ContrastBolusAgentNumber = 1
        agent.ContrastBolusAdministrationRouteSequence = Sequence([code("47625008", "SCT", "Intravenous route")])
        agent.ContrastBolusIngredientCodeSequence = Sequence([code("44588005", "SCT", "Iodine")])
        agent.ContrastBolusVolume = 90.0
        agent.ContrastBolusIngredientConcentration = 350.0
        agent.ContrastBolusIngredientOpaque = "YES"
        agent.ContrastAdministrationProfileSequence = Sequence([_item(ContrastBolusVolume=90.0)])
        ds.ContrastBolusAgentSequence = Sequence([agent])


def _add_dimensions(ds: Dataset, header: CTHeader) -> None:
    organisation = Dataset()
    organisation.DimensionOrganizationUID = uid(header.series, "dimensions")
    index = Dataset()
    index.DimensionOrganizationUID = organisation.DimensionOrganizationUID
    index.DimensionIndexPointer = 0x00209057  # In-Stack Position Number
    index.FunctionalGroupPointer = 0x00209111  # Frame Content Sequence
    ds.DimensionOrganizationSequence = Sequence([organisation])
    ds.DimensionOrganizationType = "3D"
    ds.DimensionIndexSequence = Sequence([index])


def _item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _shared(header: CTHeader, stack: SliceStack) -> Dataset:
    group = Dataset()
    spacing = [DSfloat(v, auto_format=True) for v in stack.pixel_spacing]
    between = float(np.median(stack.spacings)) if stack.count > 1 else stack.thickness
    macros = {
        "PixelMeasuresSequence": _item(
            PixelSpacing=spacing,
            SliceThickness=DSfloat(stack.thickness, auto_format=True),
            SpacingBetweenSlices=DSfloat(between, auto_format=True),
        ),
        "PlaneOrientationSequence": _item(
            ImageOrientationPatient=[DSfloat(v, auto_format=True) for v in stack.orientation]
        ),
        "FrameAnatomySequence": _item(
            FrameLaterality="U", AnatomicRegionSequence=Sequence([code("421060004", "SCT", "Spine")])
        ),
        "CTImageFrameTypeSequence": _item(
            FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
        ),
        "CTAcquisitionTypeSequence": _item(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO"),
        "CTAcquisitionDetailsSequence": _item(
            RotationDirection="CW",
            RevolutionTime=0.5,
            SingleCollimationWidth=0.6,
            TotalCollimationWidth=38.4,
            TableHeight=150.0,
            GantryDetectorTilt=stack.gantry_tilt or 0.0,
            DataCollectionDiameter=500.0,
        ),
        "CTTableDynamicsSequence": _item(TableSpeed=46.0, TableFeedPerRotation=23.0, SpiralPitchFactor=0.6),
        "CTGeometrySequence": _item(DistanceSourceToDetector=1085.0, DistanceSourceToDataCollectionCenter=595.0),
        "CTReconstructionSequence": _reconstruction(header, stack),
        "CTExposureSequence": _exposure(),
        "CTXRayDetailsSequence": _item(
            KVP=header.kvp, FocalSpots=[1.2], FilterType="FLAT", FilterMaterial=["ALUMINUM", "TITANIUM"]
        ),
        "IrradiationEventIdentificationSequence": _item(IrradiationEventUID=uid(header.study, "irradiation")),
        "PixelValueTransformationSequence": _item(
            RescaleIntercept=DSfloat(header.intercept, auto_format=True),
            RescaleSlope=DSfloat(header.slope, auto_format=True),
            RescaleType="HU",
        ),
        "FrameVOILUTSequence": _item(WindowCenter=300, WindowWidth=1500),
    }
    if header.contrast_agent is not None:
        macros["ContrastBolusUsageSequence"] = _item(
            ContrastBolusAgentNumber=1, ContrastBolusAgentAdministered="YES", ContrastBolusAgentDetected="YES"
        )
    for keyword, item in macros.items():
        setattr(group, keyword, Sequence([item]))
    return group


def _reconstruction(header: CTHeader, stack: SliceStack) -> Dataset:
    return _item(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel=header.kernel,
        ConvolutionKernelGroup="SOFT_TISSUE",
        ReconstructionDiameter=stack.pixel_spacing[1] * stack.hu.shape[2],
        ReconstructionPixelSpacing=[DSfloat(v, auto_format=True) for v in stack.pixel_spacing],
        ReconstructionAngle=360.0,
        ImageFilter="NONE",
    )


def _exposure() -> Dataset:
    return _item(
        ExposureTimeInms=500.0,
        XRayTubeCurrentInmA=200.0,
        ExposureInmAs=100.0,
        ExposureModulationType="NONE",
        CTDIvol=7.0,
        CTDIPhantomTypeCodeSequence=Sequence([code("113691", "DCM", "IEC Body Dosimetry Phantom")]),
    )


def _frame(header: CTHeader, stack: SliceStack, index: int) -> Dataset:
    group = Dataset()
    position = stack.positions[index]
    group.FrameContentSequence = Sequence(
        [
            _item(
                FrameAcquisitionNumber=1,
                FrameReferenceDateTime=header.study_date + header.study_time,
                FrameAcquisitionDateTime=header.study_date + header.study_time,
                FrameAcquisitionDuration=500.0,
                StackID="1",
                InStackPositionNumber=index + 1,
                DimensionIndexValues=[index + 1],
            )
        ]
    )
    group.PlanePositionSequence = Sequence(
        [_item(ImagePositionPatient=[DSfloat(v, auto_format=True) for v in position])]
    )
    group.CTPositionSequence = Sequence(
        [
            _item(
                TablePosition=float(-position[2]),
                DataCollectionCenterPatient=[0.0, 0.0, float(position[2])],
                ReconstructionTargetCenterPatient=[0.0, 0.0, float(position[2])],
            )
        ]
    )
    return group
