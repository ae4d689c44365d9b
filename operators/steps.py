"""The operators of the graph: setup and compute around the plain functions of the other files.

Importing this file imports the MONAI Deploy App SDK; call :func:`operators.runtime.prepare` first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext
from PIL.Image import Image
from pydicom import Dataset

from models.engine import VertebraEngine
from operators.biomarker import Biomarker, measured
from operators.dicom.key_objects import write_key_objects
from operators.dicom.masks import mask_forms, write_mask
from operators.dicom.pdf import write_pdf
from operators.dicom.presentation import write_presentation
from operators.dicom.report import REPORT_2D, write_report
from operators.dicom.secondary_capture import write_secondary_capture
from operators.dicom.segmentation import LABELMAP, write_segmentation
from operators.dicom.text_report import write_text_report
from operators.drawing.overview import draw_overview
from operators.messages.fhir import write_fhir
from operators.messages.hl7 import write_hl7
from operators.quality.gates import assess_quality
from operators.reading.case import Case
from operators.reading.job import Job, ReadResult
from operators.reading.messages import Message
from operators.reading.options import Kind
from operators.reading.provenance import Provenance
from operators.study.load import load_volume
from operators.study.receive import Study, receive_study
from operators.study.segment import segment_vertebrae
from operators.study.select import Selection, select_series
from operators.study.send import send_results

Progress = Callable[[str], None]
"""Called with the name of each step when it begins."""


@dataclass(frozen=True)
class Encoded:
    """DICOM objects on their way, by kind; a port must always carry something, if only an empty table."""

    objects: Mapping[Kind, Dataset]

    @classmethod
    def of(cls, objects: Mapping[Kind, Dataset | None]) -> Encoded:
        """Those that there are: an encoder with nothing to say gives None."""
        return cls({kind: dataset for kind, dataset in objects.items() if dataset is not None})

    @classmethod
    def wanted(cls, case: Case, encoders: Mapping[Kind, Callable[[], Dataset | None]]) -> Encoded:
        """What those encoders make whose kind the site wants."""
        return cls.of({kind: encode() for kind, encode in encoders.items() if kind in case.job.options.kinds})


class Step(Operator):
    """An operator that tells when it begins and hands on what :meth:`read` makes of its inputs.

    Args:
        fragment: The application.
        progress: Told the operator's name at the start of each run.
    """

    inputs: tuple[str, ...] = ("case",)
    output: str | None = "case"
    read: Callable[..., Any]

    def __init__(self, fragment: Fragment, *args: Any, progress: Progress, **kwargs: Any) -> None:
        self.progress = progress
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        for name in self.inputs:
            spec.input(name)
        if self.output:
            spec.output(self.output)

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Receive the inputs, do the step, emit its value."""
        received = {name: op_input.receive(name) for name in self.inputs}
        self.progress(self.name)
        value = self.read(**received)
        if self.output:
            op_output.emit(value, self.output)


class ReceiveStudy(Step):
    """What lies in the job's folder, as one study."""

    inputs = ()
    output = "study"

    def __init__(self, fragment: Fragment, *args: Any, job: Job, keep: Callable[[Study], None], **kwargs: Any) -> None:
        self.job = job
        self.keep = keep
        super().__init__(fragment, *args, **kwargs)

    def read(self) -> Study:
        """Read the headers; whoever keeps them can still say whose study it was when a later step refuses it."""
        study = receive_study(self.job.study)
        self.keep(study)
        return study


class SelectSeries(Step):
    """The one series that is read, and a reason for every other one."""

    inputs = ("study",)
    output = "selection"

    def read(self, study: Study) -> Selection:
        """Choose."""
        return select_series(study)


class LoadVolume(Step):
    """The chosen slices as a volume in HU."""

    inputs = ("selection",)

    def __init__(self, fragment: Fragment, *args: Any, job: Job, provenance: Provenance, **kwargs: Any) -> None:
        self.job = job
        self.provenance = provenance
        super().__init__(fragment, *args, **kwargs)

    def read(self, selection: Selection) -> Case:
        """Decode."""
        return load_volume(self.job, selection, self.provenance)


class SegmentVertebrae(Step):
    """The vertebrae, found and named."""

    def __init__(self, fragment: Fragment, *args: Any, engine: VertebraEngine, **kwargs: Any) -> None:
        self.engine = engine
        super().__init__(fragment, *args, **kwargs)

    def read(self, case: Case) -> Case:
        """Segment."""
        return segment_vertebrae(case, self.engine)


class AssessQuality(Step):
    """What this scan can support."""

    def read(self, case: Case) -> Case:
        """Run all quality gates."""
        return assess_quality(case)


class Measure(Step):
    """One biomarker; where its program fails, that is said and the others go on."""

    def __init__(self, fragment: Fragment, *args: Any, biomarker: Biomarker, **kwargs: Any) -> None:
        self.biomarker = biomarker
        super().__init__(fragment, *args, name=biomarker.step, **kwargs)

    def read(self, case: Case) -> Case:
        """Measure."""
        return measured(case, self.biomarker)


class WriteSegmentation(Step):
    """The vertebrae, and the regions that biomarkers measured in, as DICOM SEG."""

    output = "segmentations"

    def read(self, case: Case) -> Encoded:
        """Encode."""
        return Encoded.wanted(
            case,
            {
                Kind.SEGMENTATION: lambda: write_segmentation(case),
                Kind.LABELMAP: lambda: write_segmentation(case, LABELMAP),
                **{form.kind: partial(write_mask, case, form) for form in mask_forms()},
            },
        )


class WriteReport(Step):
    """The reading as a DICOM SR that refers to the SEG objects."""

    inputs = ("case", "segmentations")
    output = "reports"

    def read(self, case: Case, segmentations: Encoded) -> Encoded:
        """Encode."""
        return Encoded.wanted(
            case,
            {
                Kind.REPORT: lambda: write_report(case, segmentations.objects),
                Kind.REPORT_2D: lambda: write_report(case, segmentations.objects, REPORT_2D),
            },
        )


class WriteMessages(Step):
    """The reading for hospital information systems: FHIR and HL7, pointing at the SR."""

    inputs = ("case", "reports")
    output = "messages"

    def read(self, case: Case, reports: Encoded) -> dict[Message, bytes]:
        """Encode."""
        made = {
            Message.FHIR: write_fhir(case, reports.objects),
            Message.HL7: write_hl7(case, reports.objects),
        }
        return {name: content for name, content in made.items() if content is not None}


class DrawOverview(Step):
    """The picture for people."""

    output = "picture"

    def read(self, case: Case) -> Image:
        """Draw."""
        return draw_overview(case)


class WriteFallbacks(Step):
    """What viewers and archives take that cannot use SEG and SR: pages, pictures, text, pointers."""

    inputs = ("case", "picture")
    output = "fallbacks"

    def read(self, case: Case, picture: Image) -> Encoded:
        """Encode."""
        return Encoded.wanted(
            case,
            {
                Kind.TEXT_REPORT: lambda: write_text_report(case),
                Kind.SECONDARY_CAPTURE: lambda: write_secondary_capture(case, picture),
                Kind.PDF: lambda: write_pdf(case),
                Kind.KEY_OBJECTS: lambda: write_key_objects(case),
                Kind.PRESENTATION: lambda: write_presentation(case),
            },
        )


class SendResults(Step):
    """Everything, put down where whoever delivers it looks."""

    inputs = ("case", "segmentations", "reports", "fallbacks", "messages", "picture")
    output = None

    def __init__(self, fragment: Fragment, *args: Any, accept: Callable[[ReadResult], None], **kwargs: Any) -> None:
        self.accept = accept
        super().__init__(fragment, *args, **kwargs)

    def read(
        self,
        case: Case,
        segmentations: Encoded,
        reports: Encoded,
        fallbacks: Encoded,
        messages: dict[Message, bytes],
        picture: Image,
    ) -> None:
        """Write the files and hand over where they are."""
        objects = {**segmentations.objects, **reports.objects, **fallbacks.objects}
        self.accept(send_results(case, objects, picture, messages))
