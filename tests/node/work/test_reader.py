from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.work.border import EngineFound, HasRead, line_of, message_in
from node.work.reader import Reader, StoppingError, reader_command, reader_environment
from operators.reading.errors import PermanentError, RetriableError
from operators.reading.job import Job, ReadResult
from operators.reading.options import ReadingOptions
from tests.node.nodes import FAKE_READER, ROOT
from tests.node.slices import PATIENT_NAME, write_series

AT = datetime(2026, 11, 22, 18, tzinfo=UTC)


class Bench:
    """A reader with the fake process, and a study."""

    def __init__(self, folder: Path, timeout: float = 20) -> None:
        self.folder = folder
        self.study = folder / "study"
        write_series(self.study, 3)
        self.reader = Reader((sys.executable, str(FAKE_READER), str(folder)), timeout)
        self.steps: list[str] = []

    def plan(self, *lines: str) -> None:
        (self.folder / "plan").write_text("\n".join(lines))

    def job(self, out: str = "out") -> Job:
        target = self.folder / out
        target.mkdir(exist_ok=True)
        return Job(study=self.study, out=target, at=AT)

    def read(self, out: str = "out") -> ReadResult:
        return self.reader.read(self.job(out), self.steps.append)

    def requests(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "requests").read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    yield found
    found.reader.close()


def test_one_process_reads_study_after_study(bench: Bench) -> None:
    answer = bench.read("a")
    bench.read("b")
    assert [item.kind for item in answer.objects] == ["seg", "seg-density", "sr"]
    assert answer.objects[0].path == bench.folder / "a" / "seg.dcm"
    assert answer.refusal is None
    assert bench.steps == ["SelectSeries", "SelectSeries"]
    first, second = bench.requests()
    assert first["pid"] == second["pid"]
    assert first["job"] == {
        "study": str(bench.study),
        "out": str(bench.folder / "a"),
        "at": "2026-11-22T18:00:00Z",
        "engine": "osteon",
        "options": ReadingOptions().model_dump(mode="json"),
        "previous": [],
        "prior": None,
    }


@pytest.mark.parametrize(
    ("accident", "code"), [("crash", "reader-crashed"), ("die", "reader-killed")], ids=["status", "signal"]
)
def test_a_crash_costs_one_attempt(bench: Bench, accident: str, code: str) -> None:
    bench.plan(accident)
    with pytest.raises(RetriableError) as caught:
        bench.read()
    assert caught.value.code == code
    assert bench.read().objects
    first, second = bench.requests()
    assert first["pid"] != second["pid"]


def test_a_reader_killed_while_idle_is_replaced_unnoticed(bench: Bench) -> None:
    bench.read()
    os.kill(int(str(bench.requests()[0]["pid"])), signal.SIGKILL)
    time.sleep(0.2)
    assert bench.read().objects


def test_a_hang_is_ended_in_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, timeout=5.0)  # long enough for the process to start on a busy machine
    bench.plan("hang")
    began = time.monotonic()
    with pytest.raises(RetriableError) as caught:
        bench.read()
    assert caught.value.code == "reader-timeout"
    assert time.monotonic() - began < 15
    pid = int(str(bench.requests()[0]["pid"]))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    bench.reader.close()


def test_a_refusal_keeps_the_reader(bench: Bench) -> None:
    bench.plan("refuse", "")
    with pytest.raises(PermanentError) as caught:
        bench.read()
    assert caught.value.code == "no-ct"
    assert caught.value.sentence == "the study holds no CT series; send one"
    bench.read()
    first, second = bench.requests()
    assert first["pid"] == second["pid"]


def test_a_listener_that_fails_does_not_leave_an_answer_for_the_next_study(bench: Bench) -> None:
    def listener(step: str) -> None:
        msg = "database gone"
        raise OSError(msg)

    with pytest.raises(OSError, match="database gone"):
        bench.reader.read(bench.job("x"), listener)
    answer = bench.read("mine")
    assert answer.reading_path == bench.folder / "mine" / "reading.json"


def test_closing_ends_a_reading_as_a_stop_and_not_as_a_failure(bench: Bench) -> None:
    bench.plan("hang")
    caught: list[BaseException] = []

    def read() -> None:
        try:
            bench.read()
        except StoppingError as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    while not bench.steps:
        time.sleep(0.02)
    bench.reader.close()
    thread.join(5)
    assert len(caught) == 1
    assert not isinstance(caught[0], Exception)
    with pytest.raises(StoppingError):
        bench.read()


def test_the_real_reader_ends_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import subprocess, sys, time\n"
        "from node.work.reader import reader_command, reader_environment\n"
        "pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE}\n"
        "child = subprocess.Popen(reader_command(), env=reader_environment(), **pipes)\n"
        "print(child.pid, child.stdout.readline().decode(), flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, _, ready = parent.stdout.readline().partition(" ")
    assert json.loads(ready) == {"say": "progress", "step": "ready"}
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while _is_running(int(pid)):
        assert time.monotonic() < deadline, "the reader outlived its parent"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # nobody may be there to reap it in a container


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="limits are read from Linux' /proc")
def test_the_real_reader_has_the_stack_that_the_runtime_wants_and_goes_first_when_memory_is_short() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    child = subprocess.Popen(reader_command(), env=reader_environment(), **pipes)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    limits = Path(f"/proc/{child.pid}/limits").read_text()
    score = Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip()
    child.stdin.close()
    child.stdout.close()
    assert child.wait(5) == 3
    (stack,) = (line.split() for line in limits.splitlines() if line.startswith("Max stack"))
    assert stack[3] == "unlimited" or int(stack[3]) >= 32 << 20
    assert int(score) >= 500


def test_the_real_reader_executes_nothing_that_lies_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scipy", "numpy", "operators", "models"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep)  # two empty entries: the working folder, twice
    reader = Reader(reader_command(), 120)
    try:
        assert reader.probe("osteon").digest
    finally:
        reader.close()
    assert not (tmp_path / "executed").exists()


def test_a_refusal_and_its_report_come_back_over_the_pipe_as_what_they_were(bench: Bench) -> None:
    refused = ReadResult(objects=(), refusal=PermanentError("no-spine", "no vertebra was found"))
    (back,) = [message_in(line_of(HasRead(result=refused)).encode())]
    assert isinstance(back, HasRead)
    assert isinstance(back.result.refusal, PermanentError)
    assert str(back.result.refusal) == "no-spine: no vertebra was found"


def test_a_reader_of_another_version_costs_an_attempt(bench: Bench) -> None:
    bench.plan("babble")
    with pytest.raises(RetriableError) as caught:
        bench.read()
    assert caught.value.code == "reader-confused"
    assert bench.read().objects


def test_the_real_reader_refuses_an_engine_that_is_not_there() -> None:
    reader = Reader(reader_command(), 60)
    with pytest.raises(PermanentError) as caught:
        reader.probe("divination")
    reader.close()
    assert caught.value.code == "no-engine"
    assert "'divination'" in caught.value.sentence


def test_what_libraries_print_does_not_disturb_the_real_reader_nor_get_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An engine module that prints, also from C and by file descriptor, is loaded by the real reader."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "from models.engines.registry import ENGINES\n"
        "class Loud:\n"
        "    name, version, digest = 'loud', '1', 'd'\n"
        "    def __init__(self):\n"
        f"        print('{{\"probe\": 1}} {PATIENT_NAME}')\n"
        "        os.write(1, b'{broken\\n')\n"
        "        sys.stdout.flush()\n"
        "ENGINES.register('loud', Loud)\n"
    )
    environment = os.environ.copy()
    os.environ["PYTHONPATH"] = str(tmp_path)
    try:
        reader = Reader(reader_command(), 60)
        assert reader.probe("loud") == EngineFound(name="loud", version="1", digest="d")
        reader.close()
    finally:
        os.environ.clear()
        os.environ.update(environment)
    printed = capfd.readouterr()
    assert PATIENT_NAME not in printed.out + printed.err


def test_a_defect_in_the_real_reader_is_reported_by_its_place_without_values(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from models.engines.registry import ENGINES\n"
        "def explode():\n"
        f"    raise RuntimeError('value {PATIENT_NAME}')\n"
        "ENGINES.register('bomb', explode)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reader = Reader(reader_command(), 60)
    with pytest.raises(RetriableError) as caught:
        reader.probe("bomb")
    reader.close()
    assert caught.value.code == "reader-crashed"
    (record,) = (record for record in caplog.records if record.getMessage() == "reader-crashed")
    fields = record.__dict__["fields"]
    assert fields["trace"].startswith("RuntimeError")
    assert "sitecustomize.py:3 in explode" in fields["trace"]
    assert PATIENT_NAME not in str(fields)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is on Linux' data segment")
def test_too_much_memory_costs_an_attempt_and_not_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from models.engines.registry import ENGINES\n"
        "def eat():\n"
        "    bytearray(4 << 30)\n"
        "ENGINES.register('glutton', eat)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reader = Reader(reader_command(memory_gib=1.0), 60)
    with pytest.raises(RetriableError) as caught:
        reader.probe("glutton")
    reader.close()
    assert caught.value.code == "reader-out-of-memory"
