"""A stand-in for our own reader process, speaking its protocol; the DICOM peers in the tests are real.

``python fake_reader.py FOLDER``: files in FOLDER steer it. Each reading takes one line off ``plan`` (or
reads at once when it is empty): ``hang``, ``crash``, ``die`` (by a signal), ``refuse``, ``full`` (disk),
``babble`` (what no node knows), ``noise`` (prints on standard output first, as libraries do),
``sleep SECONDS``, ``until FILE`` (is there). Every request is noted in ``requests``.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
SOP_CLASSES = {
    "seg": SEG,
    "seg-density": SEG,
    "seg-labelmap": "1.2.840.10008.5.1.4.1.1.66.7",
    "sr": SR,
    "sr-2d": "1.2.840.10008.5.1.4.1.1.88.33",
    "sr-text": "1.2.840.10008.5.1.4.1.1.88.11",
    "sc": "1.2.840.10008.5.1.4.1.1.7",
    "pdf": "1.2.840.10008.5.1.4.1.1.104.1",
    "kos": "1.2.840.10008.5.1.4.1.1.88.59",
    "gsps": "1.2.840.10008.5.1.4.1.1.11.1",
}
"""By kind, from PS3.4 annex B."""


ANSWERS: dict[str, dict[str, Any]] = {
    "refuse": {"say": "refused", "error": {"code": "no-ct", "sentence": "the study holds no CT series; send one"}},
    "full": {
        "say": "failed",
        "error": {"code": "outbox-not-writable", "sentence": "the results could not be written"},
    },
    "babble": {"say": "poem", "verses": 2},
}
"""What is answered instead of a result."""


def main(folder: Path) -> None:
    requests: list[str] = []
    arrived = threading.Condition()

    def listen() -> None:
        for line in sys.stdin:
            with arrived:
                requests.append(line)
                arrived.notify()
        os._exit(3)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        with arrived:
            arrived.wait_for(lambda: requests)
            request = json.loads(requests.pop(0))
        with (folder / "requests").open("a") as log:
            log.write(json.dumps({**request, "pid": os.getpid()}) + "\n")
        send(say="progress", step="SelectSeries")
        behave(next_line(folder / "plan"), request["job"])


def next_line(plan: Path) -> str:
    lines = plan.read_text().splitlines() if plan.is_file() else []
    plan.write_text("\n".join(lines[1:]))
    return lines[0] if lines else ""


def behave(line: str, job: dict[str, Any]) -> None:
    word, _, argument = line.partition(" ")
    if word == "hang":
        time.sleep(3600)
    elif word == "crash":
        print("ValueError\n  somewhere.py:1 in f", flush=True)
        sys.exit(70)
    elif word == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word in ANSWERS:
        send(**ANSWERS[word])
        return
    elif word == "noise":
        print("Downloading weights … 12%", flush=True)
    elif word == "until":
        while not Path(argument).exists():
            time.sleep(0.05)
    elif word == "sleep":
        time.sleep(float(argument))
    try:
        answer = read(Path(job["study"]), Path(job["out"]), job["at"], job["options"]["kinds"])
    except OSError:
        send(**ANSWERS["full"])
    else:
        send(say="read", result=answer)


def read(study: Path, out: Path, at: str, kinds: list[str]) -> dict[str, object]:
    files = sorted(study.iterdir())
    digest = hashlib.sha256("".join(file.name for file in files).encode()).hexdigest()
    source = dcmread(files[0], stop_before_pixels=True)
    objects = []
    for kind in kinds:
        sop_class = SOP_CLASSES[kind]
        found = result(source, sop_class, f"{digest} {kind}", at)
        path = out / f"{kind}.dcm"
        found.save_as(path, enforce_file_format=True)
        objects.append(
            {
                "kind": kind,
                "path": str(path),
                "sop_class_uid": sop_class,
                "sop_instance_uid": str(found.SOPInstanceUID),
            }
        )
    (out / "fhir.json").write_text(fhir(digest))
    (out / "oru.hl7").write_bytes(hl7(digest).encode())
    (out / "reading.json").write_text(json.dumps({"at": at, "instances": len(files)}))
    return {"objects": objects, "reading_path": str(out / "reading.json"), "picture_path": None, "refusal": None}


def result(source: Dataset, sop_class: str, digest: str, at: str) -> Dataset:
    found = Dataset()
    found.SOPClassUID = sop_class
    found.SOPInstanceUID = generate_uid(entropy_srcs=[digest, sop_class])
    found.StudyInstanceUID = source.StudyInstanceUID
    found.SeriesInstanceUID = generate_uid(entropy_srcs=[digest, sop_class, "series"])
    found.PatientID = source.PatientID
    found.PatientName = source.PatientName
    found.Modality = "SEG" if sop_class == SEG else "SR" if ".88." in sop_class else "OT"
    found.Manufacturer = "Osteon project"
    found.ContentDate = at[:10].replace("-", "")
    found.ContentTime = at[11:19].replace(":", "")
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = sop_class
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    return found


def fhir(digest: str) -> str:
    """One observation in a transaction."""
    observation = {"resourceType": "Observation", "id": digest[:20], "status": "preliminary", "code": {"text": "spine"}}
    request = {"method": "PUT", "url": f"Observation/{digest[:20]}"}
    entry = {"resource": observation, "request": request}
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})


def hl7(digest: str) -> str:
    """One result in a message."""
    header = f"MSH|^~\\&|OSTEON||||20260101||ORU^R01^ORU_R01|{digest[:20]}|P|2.5.1||||||UNICODE UTF-8"
    return "\r".join([header, "PID|1||7", "OBR|1||7|1^CT^L", "OBX|1|NM|1^Height^L||25|||||P", ""])


def send(**message: object) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
