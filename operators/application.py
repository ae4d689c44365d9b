"""The whole flow of a study as one MONAI Deploy application.

Run by the node for every settled study, by ``osteon read STUDY --out DIR``, and as a MONAI Application
Package: ``python -m operators.application -i STUDY -o DIR``, or with HOLOSCAN_INPUT_PATH and
HOLOSCAN_OUTPUT_PATH.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from operators import runtime

runtime.prepare()  # before the SDK: it links the CUDA runtime even where there is no GPU

from monai.deploy.conditions import CountCondition  # noqa: E402
from monai.deploy.core import AppContext, Application  # noqa: E402
from monai.deploy.core.arg_parser import parse_args  # noqa: E402

from operators import steps  # noqa: E402
from operators.dicom.refusal import refusal_reports  # noqa: E402
from operators.reading.errors import OsteonError, PermanentError  # noqa: E402
from operators.reading.job import Job, ReadResult  # noqa: E402
from operators.registered import BIOMARKERS, weights_digest  # noqa: E402
from operators.study.engines import engine_of  # noqa: E402
from operators.study.provenance import provenance_of  # noqa: E402
from operators.study.receive import Study  # noqa: E402
from operators.study.send import send_refusal  # noqa: E402


def _silent(step: str) -> None:
    """Nobody asked for progress."""


class SpineApplication(Application):
    """From the files of a study to the DICOM objects that the site wants, ``reading.json`` and a picture.

    Args:
        job: What is asked.
        progress: Told the name of each step when it begins.
    """

    def __init__(self, job: Job, progress: steps.Progress = _silent) -> None:
        self.job = job
        self.progress = progress
        self.received: list[Study] = []
        self.results: list[ReadResult] = []
        super().__init__([])  # the job comes from the caller: the process's arguments are not ours to parse

    def compose(self) -> None:
        """Join the steps; called once per run, so that nothing costly belongs here."""
        job, tell = self.job, {"progress": self.progress}
        engine = engine_of(job.engine, job.options)  # once per process: weights do not load again for every study
        by = provenance_of(engine, job.options, job.prior, weights_digest())

        receive = steps.ReceiveStudy(
            self, CountCondition(self, 1), job=job, keep=self.received.append, name="ReceiveStudy", **tell
        )
        select = steps.SelectSeries(self, name="SelectSeries", **tell)
        load = steps.LoadVolume(self, job=job, provenance=by, name="LoadVolume", **tell)
        segment = steps.SegmentVertebrae(self, engine=engine, name="SegmentVertebrae", **tell)
        assess = steps.AssessQuality(self, name="AssessQuality", **tell)
        biomarkers = [steps.Measure(self, biomarker=biomarker, **tell) for biomarker in BIOMARKERS]
        seg = steps.WriteSegmentation(self, name="WriteSegmentation", **tell)
        report = steps.WriteReport(self, name="WriteReport", **tell)
        messages = steps.WriteMessages(self, name="WriteMessages", **tell)
        picture = steps.DrawOverview(self, name="DrawOverview", **tell)
        fallbacks = steps.WriteFallbacks(self, name="WriteFallbacks", **tell)
        send = steps.SendResults(self, accept=self.results.append, name="SendResults", **tell)

        self.add_flow(receive, select, {("study", "study")})
        self.add_flow(select, load, {("selection", "selection")})
        self.add_flow(load, segment, {("case", "case")})
        self.add_flow(segment, assess, {("case", "case")})
        for before, after in pairwise([assess, *biomarkers]):
            self.add_flow(before, after, {("case", "case")})
        for encoder in (seg, report, messages, picture, fallbacks, send):
            self.add_flow(biomarkers[-1], encoder, {("case", "case")})
        self.add_flow(seg, report, {("segmentations", "segmentations")})
        self.add_flow(seg, send, {("segmentations", "segmentations")})
        self.add_flow(report, messages, {("reports", "reports")})
        self.add_flow(report, send, {("reports", "reports")})
        self.add_flow(messages, send, {("messages", "messages")})
        self.add_flow(picture, fallbacks, {("picture", "picture")})
        self.add_flow(picture, send, {("picture", "picture")})
        self.add_flow(fallbacks, send, {("fallbacks", "fallbacks")})


def read_study(job: Job, progress: steps.Progress = _silent) -> ReadResult:
    """Run the graph over one study.

    Args:
        job: What is asked.
        progress: Told the name of each step when it begins.

    Returns:
        Where the results lie. Those of a study that cannot be read are reports that say why, where the site
        wants them and the study has a usable header.

    Raises:
        PermanentError: The study cannot be read, and there is nothing to send that would say so.
        RetriableError: The world is not ready.
        RuntimeError: The graph ended without a result, which would be a defect of Osteon.
    """
    application = SpineApplication(job, progress)
    try:
        application.run()
    except PermanentError as error:
        if not application.received:
            # The files do not say whose study it is, and a report in the wrong patient's folder is worse than silence.
            raise
        by = provenance_of(engine_of(job.engine, job.options), job.options, second_opinion=weights_digest())
        reports = refusal_reports(application.received[0], error, job, by)
        if not reports:
            raise
        return send_refusal(job.out, reports, error)
    if len(application.results) != 1:
        # Holoscan ends normally when an operator emits nothing; silence must not pass for success.
        msg = f"the graph ended with {len(application.results)} results instead of one"
        raise RuntimeError(msg)
    return application.results[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a MONAI Application Package.

    Returns:
        0 when the study was read, 2 when it cannot be, with the reason on standard error.
    """
    given = parse_args([sys.argv[0], *argv] if argv is not None else None)
    context = AppContext({key: str(value) for key, value in vars(given).items() if value and key != "argv"})
    job = Job.over_folder(Path(context.input_path), Path(context.output_path))
    try:
        result = read_study(job)
    except OsteonError as error:
        print(error, file=sys.stderr)
        return 2
    for item in result.objects:
        print(item.path)
    if result.refusal is not None:
        print(result.refusal, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
