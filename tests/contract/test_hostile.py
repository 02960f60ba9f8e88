"""What a candidate tries against the quota, the machine of the evaluator, and whoever runs as root beside them."""

from __future__ import annotations

import shutil
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from docker.errors import APIError
from docker.models.containers import Container
from kits import Live, needs_engine, told
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from harness.errors import StackError
from harness.model import Outcome
from harness.session import Session
from harness.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WORKSPACE_MIB = 256
REGISTRY_MIB = 64
LARGEST_MIB = 512
REGISTRY = """
[[service]]
name = "registry"
owner = "harness"
command = ["mlflow", "server", "--backend-store-uri", "sqlite:///{registry}/mlflow.db", "--artifacts-destination",
           "{registry}/artifacts", "--serve-artifacts", "--host", "{host}", "--port", "{port}", "--workers", "1"]
ready = "/health"
env = { MLFLOW_SERVER_ENABLE_JOB_EXECUTION = "false" }
"""
STORY = """

import shutil

_alone = lay_out


def lay_out(variant, site):
    _alone(variant, site)
    shutil.copy2({database!r}, site.registry / "mlflow.db")
"""
UPLOAD = "http://registry:5000/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def session(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """With the tiny scenario, and MLflow for its registry."""
    needs_engine()
    pack = tmp_path_factory.mktemp("pack")
    shutil.copytree(tiny_root / "tiny", pack / "tiny")
    toml = pack / "tiny" / "scenario.toml"
    text = toml.read_text(encoding="utf-8").replace("minutes = 10", "minutes = 60")
    toml.write_text(text.replace("[[job]]", f"{REGISTRY}\n[[job]]", 1), encoding="utf-8")
    database = pack / "mlflow.db"
    SqlAlchemyStore(f"sqlite:///{database}", "mlflow-artifacts:/").engine.dispose()
    with (pack / "tiny" / "story.py").open("a", encoding="utf-8") as story:
        story.write(STORY.format(database=str(database)))
    here = Session(tmp_path_factory.mktemp("home"), [pack])
    try:
        yield here
    finally:
        for name in here.names():
            here.down(name)


@pytest.fixture(scope="module")
def eve(session: Session) -> Live:
    with told(WORKSPACE_MIB=WORKSPACE_MIB, REGISTRY_MIB=REGISTRY_MIB):
        session.start("tiny", 1, name="eve", runtime="compose")
    return Live(session, "eve")


def begun(container: Container) -> str:
    """When a container was started last."""
    container.reload()
    return str(container.attrs["State"]["StartedAt"])


def healthy(container: Container) -> bool:
    container.reload()
    return bool(container.attrs["State"]["Health"]["Status"] == "healthy")


def taken(container: Container, folder: str = "/workspace") -> int:
    """MiB, of what does not vanish while it is measured; a container that comes back just now is asked again."""

    def measured() -> str:
        with suppress(APIError):
            code, said = container.exec_run(["du", "-sm", folder], user="", stderr=False)
            return said.decode().split("\t")[0] if code in (0, 1) and said[:1].isdigit() else ""
        return ""

    return int(until(measured, 30.0))


def nobody(container: Container, pattern: str) -> bool:
    """Whether no process of a container has a command line like this; False where it cannot be asked just now."""
    with suppress(APIError):
        return bool(container.exec_run(["pgrep", "-f", pattern])[0] == 1)
    return False


def tidy(container: Container, command: str) -> None:
    """What the evaluator does from outside; a container that comes back just now is asked again."""

    def done() -> bool:
        with suppress(APIError):
            return bool(container.exec_run(["sh", "-c", command])[0] == 0)
        return False

    until(done, 60.0, 1.0)


PLANT = """
mkdir -p found harness/runtime/inside supervisor ~/.local/lib/python3.11/site-packages
for name in harness/__init__ harness/runtime/__init__ harness/runtime/inside/__init__ harness/runtime/inside/ready \
    harness/runtime/inside/warden harness/runtime/inside/supervised harness/runtime/inside/job \
    harness/runtime/inside/control supervisor/__init__ supervisor/supervisord argparse json socket sitecustomize; do
    printf 'import os\\nopen(f"/workspace/found/{os.geteuid()}-%s", "w")\\n' "$(basename $name)" > $name.py
done
cp argparse.py ~/.local/lib/python3.11/site-packages/usercustomize.py
chmod -R a+rwX .
"""


def test_modules_that_a_candidate_plants_are_run_by_nobody_else(eve: Live) -> None:
    box = eve.of("box")
    probe = box.attrs["Config"]["Healthcheck"]["Test"]
    assert probe[0] == "CMD"
    assert eve.shell(PLANT)[0] == 0
    try:
        eve.shell("python -c 'import argparse'")
        assert "1000-argparse" in eve.shell("ls found")[1], "what is planted works"
        eve.shell("rm found/*")
        until(lambda: box.exec_run(probe[1:])[0] == 0, 60.0)  # as the engine does it every half minute
        assert eve.stack.status()
        assert eve.stack.run_job("speak", ["fine"], 20.0).output == "fine\n"
        before = begun(box)
        box.restart(timeout=1)
        assert begun(box) != before
        until(lambda: healthy(box) and eve.answers(), 240.0)
        assert eve.shell("ls found")[1] == ""
    finally:
        eve.shell("rm -rf found harness supervisor argparse.py json.py socket.py sitecustomize.py")


def test_root_of_the_box_reads_nothing_that_it_may_not_and_a_terminal_opens_in_the_workspace(eve: Live) -> None:
    capabilities = set(eve.of("box").attrs["HostConfig"]["CapAdd"])
    assert {each.removeprefix("CAP_") for each in capabilities} == {"SETUID", "SETGID", "KILL"}
    token = eve.stack.pages()["jupyter"].split("token=")[1]
    head = f"-sS -H 'Authorization: token {token}'"
    until(lambda: eve.shell(f"curl {head} -f -X POST http://127.0.0.1:8888/api/terminals")[0] == 0, 60.0)
    shells = "for each in /proc/[0-9]*; do tr '\\0' ' ' < $each/cmdline; readlink $each/cwd; done 2>/dev/null"
    until(
        lambda: any("/bin/bash" in line and line.endswith(" /workspace") for line in eve.shell(shells)[1].splitlines()),
        20.0,
    )


CHAIN = """
import os, time
number = 0
while True:
    number += 1
    with open(f"/workspace/fill.{number}", "wb") as file:
        file.write(bytes(2**20))
    time.sleep(0.02 if number < 240 else 0.2)
    if os.fork():
        os._exit(0)
"""


def test_a_chain_of_forks_that_fills_the_disk_is_ended(eve: Live) -> None:
    """Each of its processes writes, forks and ends: a list of processes is old before it is read.

    It writes slower above its quota, so that a machine that is late to look does not find twice the quota.
    """
    eve.of("box").exec_run(["python", "-c", CHAIN], user="1000", detach=True)
    try:
        until(lambda: taken(eve.of("box")) > WORKSPACE_MIB, 60.0)
        until(lambda: nobody(eve.of("box"), "[f]ill"), 60.0)
        assert taken(eve.of("box")) < 2 * WORKSPACE_MIB
    finally:
        tidy(eve.of("box"), "rm -f /workspace/fill.*")
    until(eve.answers, 180.0)


MANY = """
import os, time
for n in range(10**6):
    time.sleep(0.0001 if n < 80_000 else 0.1)
    os.mkdir(f'many/{n}') if n % 2 else os.close(os.open(f'many/{n}', os.O_CREAT))
"""


def test_names_without_content_are_ended_at_their_quota(eve: Live) -> None:
    """Made ever slower, so that a machine that is late to look does not find twice the quota, where nothing runs."""
    eve.shell("mkdir many")
    try:
        assert eve.shell(f'timeout 120 python -c "{MANY}"')[0] == 137
        assert "names of 50000" in eve.of("box").logs(tail=20).decode()
        assert eve.shell("rm -r many; sleep 5; echo tidy")[1] == "tidy\n"
    finally:
        eve.stack.remove("many")
    until(eve.answers, 180.0)


def test_a_deep_tree_is_measured_and_hides_nothing(eve: Live) -> None:
    code = "import os\nfor n in range(1500):\n    os.mkdir('deep'); os.chdir('deep')\nos.mkdir('end')"
    assert eve.shell(f'python -c "{code}"')[0] == 0
    try:
        until(lambda: '"names": 15' in eve.shell("cat /clock/taken")[1], 20.0)
        until(eve.answers, 60.0)
    finally:
        eve.shell("rm -rf deep")


def test_nothing_runs_above_twice_the_quota_until_somebody_else_tidies_up(eve: Live) -> None:
    big = f"{WORKSPACE_MIB + 50}M"
    box = eve.of("box")
    try:
        eve.shell(f"fallocate -l {big} one; fallocate -l {big} two")  # at once, whatever the disk can do
        until(lambda: "nothing runs until" in box.logs(tail=5).decode(), 60.0)
        assert "jupyter" not in eve.shell("cat /proc/[0-9]*/cmdline")[1]
    finally:
        eve.stack.remove("one")
        eve.stack.remove("two")
    until(eve.answers, 180.0)


def test_disk_is_not_reserved_without_being_written(eve: Live) -> None:
    """By what the box's supervisor starts: services, and JupyterLab with its terminals."""
    reserve = "fallocate -l 400M reserved"
    eve.shell(f"cp bin/serve bin/page; printf '#!/bin/sh\n{reserve} 2>said\nexec bin/page\n' > bin/serve")
    try:
        assert eve.shell("exam restart serving")[0] == 0
        until(eve.answers, 60.0)
        assert "not supported" in eve.shell("cat said")[1]
        assert taken(eve.of("box")) < WORKSPACE_MIB
    finally:
        eve.shell("mv bin/page bin/serve; rm -f reserved said; exam restart serving")
    until(eve.answers, 60.0)


def test_a_file_has_a_largest_size(eve: Live) -> None:
    assert eve.shell("head -c 700M /dev/zero > /tmp/big")[0] != 0
    assert eve.shell("stat -c %s /tmp/big; rm /tmp/big")[1] == f"{LARGEST_MIB * 2**20}\n"


UNLINKED = """
import os
files = []
while True:
    files.append(open('x', 'wb', buffering=0))
    os.unlink('x')
    for _ in range(500):
        files[-1].write(bytes(2**20))
"""
ROOM_MIB = 2048


def test_what_the_engines_disk_must_have_left_is_left(eve: Live, tiny_root: Path, tmp_path: Path) -> None:
    """Files without a name count nothing; what they take away from everybody does."""
    left = int(eve.shell("df --output=avail -B1M /workspace | tail -1")[1])
    if left < 4 * ROOM_MIB:
        pytest.skip("the engine's disk is nearly full")
    session = Session(tmp_path / "home", [tiny_root])
    with told(DISK_FREE_MIB=left - ROOM_MIB):
        session.start("tiny", 3, name="mallory", runtime="compose")
    try:
        mallory = Live(session, "mallory")
        assert mallory.shell(f'timeout 100 python -c "{UNLINKED}"')[0] == 137
        assert "MiB left" in mallory.of("box").logs(tail=20).decode()
        assert taken(mallory.of("box")) < 100, "its quota did not see it"
    finally:
        session.down("mallory")


LARGE = "find /registry/artifacts -type f -size +1M -delete"
"""An upload that was ended leaves what it wrote under a name of MLflow's own."""


def test_uploads_do_not_fill_the_disk_behind_the_registry(eve: Live) -> None:
    """One without end, then many small ones. What MLflow took of them is the evaluator's to tidy up."""
    registry = eve.of("registry")

    def answers() -> bool:
        return eve.shell("curl -sS -f --max-time 5 http://registry:5000/health")[0] == 0

    def ended() -> str:
        said = registry.logs(since=began).decode()
        return said if "writers are ended" in said else ""

    began = time.time()
    assert eve.shell(f"head -c 1M /dev/zero | curl -sS -f -T - {UPLOAD}/honest")[0] == 0
    assert eve.shell(f"curl -sS -f --max-time 100 -T /dev/zero {UPLOAD}/endless")[0] != 0
    until(ended, 30.0)
    most = taken(registry, "/registry")
    assert most < LARGEST_MIB + 2 * REGISTRY_MIB
    tidy(registry, LARGE)
    until(answers, 240.0)
    began = time.time()
    loop = (
        f"for n in $(seq 100); do head -c 4M /dev/zero | curl -sS -f --max-time 20 -T - {UPLOAD}/x$n; sleep 0.3; done"
    )
    eve.of("box").exec_run(["timeout", "90", "sh", "-c", loop], user="1000", detach=True)
    until(ended, 60.0)
    eve.shell("pkill -f '[s]eq'; pkill curl")
    assert REGISTRY_MIB < taken(registry, "/registry") < 3 * REGISTRY_MIB
    tidy(registry, LARGE)
    until(answers, 240.0)


def test_a_pipe_in_a_logs_place_and_a_silent_supervisor_hold_nobody_up(eve: Live) -> None:
    """Both are the candidate's to replace, and `exam grade` asks for both."""
    box = eve.of("box")
    silent = (
        "import os, socket, time\nos.rename('/run/exam/supervisor.sock', '/run/exam/real')\n"
        "s = socket.socket(socket.AF_UNIX); s.bind('/run/exam/supervisor.sock'); s.listen(9); time.sleep(600)"
    )
    try:
        eve.shell("mv /run/exam/logs/serving.log /run/exam/logs/real; mkfifo /run/exam/logs/serving.log")
        began = time.monotonic()
        assert eve.stack.logs("serving") == ""
        assert time.monotonic() - began < 30
        box.exec_run(["python", "-c", silent], user="1000", detach=True)
        until(lambda: eve.shell("ls /run/exam/real")[0] == 0, 20.0)
        began = time.monotonic()
        with pytest.raises(StackError, match="restart serving") as caught:
            eve.stack.restart("serving")
        assert caught.value.stack == eve.stack.name
        assert {line.detail for line in eve.stack.status() if line.name == "serving"} == {
            "its container does not answer"
        }
        assert time.monotonic() - began < 120
    finally:
        box.restart(timeout=1)
        until(eve.answers, 180.0)


SPEAKS: dict[str, str] = {
    "floods the evaluator": "exec yes > /proc/$PPID/fd/1",
    "floods its own output": "yes | head -c 200M; exit 0",
    "talks nonsense": "printf '[[[[' > /proc/$PPID/fd/1; kill -9 $PPID",
    "stops who runs it": "kill -STOP $PPID; exec sleep 1000",
}
GRADER = """
def job(stack):
    done = stack.run_job("speak", ["hello"], 3.0)
    return Finding(done.exit_code == 0 and done.output == "hello\\n", "The job says hello.")
"""
SERVE = """#!/usr/bin/env python3
# Looks for anybody in the networks that an engine gives, besides its own.
import os, socket
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

own = socket.gethostbyname("box")
nets = [f"172.{n}.0" for n in range(16, 32)] + [f"192.168.{n}" for n in range(0, 256, 16)]


def reached(place):
    with socket.socket() as probe:
        probe.settimeout(1)
        return place if probe.connect_ex(place) == 0 else None


if __name__ == "__main__":
    server = HTTPServer(("0.0.0.0", int(os.environ["PORT"])), BaseHTTPRequestHandler)
    places = [(f"{net}.{host}", port) for net in nets for host in range(1, 9) for port in (3000, 5000, 7001)]
    with ThreadPoolExecutor(64) as pool:
        found = [place for place in pool.map(reached, places) if place]
    foreign = [place for place in found if place[0].rsplit(".", 1)[0] != own.rsplit(".", 1)[0]]
    word = "healthy" if (own, 3000) in found and not foreign else f"found {found}"

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(word.encode())

    server.RequestHandlerClass = Page
    server.serve_forever()
"""


@pytest.mark.parametrize("how", SPEAKS)
def test_a_hostile_submission_gets_its_verdict(tiny_root: Path, tmp_path: Path, how: str) -> None:
    """It looks for the reference, and its job floods, stops or forges what runs it. The job's check fails, no other."""
    needs_engine()
    pack = tmp_path / "pack"
    shutil.copytree(tiny_root / "tiny", pack / "tiny")
    checks = pack / "tiny" / "grader" / "checks.py"
    text = checks.read_text(encoding="utf-8")
    asked = 'bench.check("says_it_again", _healthy)'
    assert asked in text
    checks.write_text(text.replace(asked, 'bench.check("says_it_again", job)') + GRADER, encoding="utf-8")
    session = Session(tmp_path / "home", [pack])
    attempt, _ = session.start("tiny", 5, name="eve", runtime="compose")
    try:
        eve = Live(session, "eve")
        for path, content in {"bin/serve": SERVE, "bin/speak": f"#!/bin/sh\n{SPEAKS[how]}\n"}.items():
            assert eve.shell(f"echo {b64encode(content.encode()).decode()} | base64 -d > {path}")[0] == 0
        session.submit(attempt)
        began = time.monotonic()
        record, _ = session.grade("eve", tmp_path / "reports", lambda what, done, of: None)
    finally:
        session.down("eve")
    assert time.monotonic() - began < 240
    outcomes = {item.spec.id: item.result.outcome for item in record.score.checks}
    assert outcomes == {"answers": Outcome.PASS, "says_healthy": Outcome.PASS, "says_it_again": Outcome.FAIL}
