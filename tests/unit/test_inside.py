"""What runs inside the containers of a stack, looked at without one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness import scenario as scenarios
from harness.errors import ScenarioError
from harness.model import ServiceSpec
from harness.runtime.compose import description
from harness.runtime.inside import door, job
from harness.runtime.inside.after import answers
from harness.runtime.inside.keeper import Keeper, Outside, serve
from harness.runtime.inside.supervised import programs
from harness.runtime.inside.warden import Warden, processes, used
from harness.runtime.programs import Program, configuration


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "workspace").mkdir()
    return Keeper(str(tmp_path / "workspace"), str(tmp_path / "date"), os.getuid())


def asked(keeper: Keeper, *requests: tuple[dict[str, str], bytes]) -> list[tuple[dict[str, object], bytes]]:
    """What the keeper answers over its pipe."""
    stdin = b"".join(json.dumps({**head, "size": len(body)}).encode() + b"\n" + body for head, body in requests)
    stdout = io.BytesIO()
    serve(keeper, io.BytesIO(stdin), stdout)
    stdout.seek(0)
    found = []
    while line := stdout.readline():
        head = json.loads(line)
        found.append((head, stdout.read(head["size"])))
    return found


def test_the_keeper_answers_in_turn_and_goes_on_after_a_refusal(keeper: Keeper) -> None:
    content = bytes(range(256)) * 4000
    found = asked(
        keeper,
        ({"do": "write", "path": "a/b/c"}, content),
        ({"do": "write", "path": "../out"}, b"x"),
        ({"do": "read", "path": "a/b/c"}, b""),
        ({"do": "read", "path": "nonesuch"}, b""),
        ({"do": "listing", "path": "a"}, b""),
        ({"do": "date", "text": "2024-01-02\n"}, b""),
    )
    assert [head.get("ok", head.get("error")) for head, _ in found] == [
        None, "leads out of the workspace by a link", True, None, ["a/b/c"], None,
    ]  # fmt: skip
    assert found[2][1] == content


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", "."])
def test_the_keeper_knows_no_path_out_of_the_workspace(keeper: Keeper, tmp_path: Path, path: str) -> None:
    (tmp_path / "x").write_text("kept", encoding="utf-8")
    assert keeper.read(path) is None
    with pytest.raises((Outside, OSError)):
        keeper.write(path, b"x")
    keeper.remove(path)
    assert (tmp_path / "x").read_text(encoding="utf-8") == "kept"


def test_a_link_swapped_in_while_the_keeper_writes_leads_nowhere(keeper: Keeper, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "workspace" / "feeds"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            place.mkdir(exist_ok=True)
            time.sleep(0)
            try:
                place.rename(tmp_path / "aside")
                place.symlink_to(outside)
                place.unlink()
                (tmp_path / "aside").rename(place)
            except OSError:
                continue

    racing = threading.Thread(target=swap)
    racing.start()
    try:
        for number in range(300):
            try:
                keeper.write(f"feeds/{number}", b"x")
            except (Outside, OSError):
                continue
    finally:
        stop.set()
        racing.join()
    assert list(outside.iterdir()) == []


def test_supervisord_reads_what_it_is_told(tmp_path: Path) -> None:
    text = configuration(
        [Program("odd", ["/bin/echo", "100%", "a b", "; no comment"], "/tmp", {"PORT": "1", "RATE": "5%"})],
        socket=f"{tmp_path}/s",
        logs=str(tmp_path),
        pidfile=f"{tmp_path}/p",
        foreground=True,
        autostart=True,
    )
    (tmp_path / "conf").write_text(text.replace("autorestart=true", "autorestart=false"), encoding="utf-8")
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(tmp_path / "conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        log = tmp_path / "odd.log"
        end = time.monotonic() + 20
        while time.monotonic() < end and not (log.is_file() and log.read_text(encoding="utf-8")):
            time.sleep(0.05)
        assert log.read_text(encoding="utf-8").startswith("100% a b ; no comment\n")
    finally:
        process.terminate()
        process.wait(20)


def run_job(shell: str) -> dict[str, object]:
    """A job of a shell command, in a process of its own: it adopts orphans."""
    code = "import json, sys; from harness.runtime.inside import job, places; places.WORKSPACE = '/tmp'\n"
    code += "print(json.dumps(job.run(['sh', '-c', sys.argv[1]], {}, 9)))"
    done = subprocess.run([sys.executable, "-c", code, shell], capture_output=True, timeout=30, check=True)
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_a_job_ends_with_what_left_its_group() -> None:
    """`setsid` leaves the group and the session; its parent ends at once, so that it is nobody's child."""
    marker = f"exam-orphan-{os.getpid()}"
    said = run_job(f"setsid sh -c 'sleep 321; : {marker}' & echo begun; exit 7")
    assert (said["exit_code"], said["output"]) == (7, "begun\n")
    assert marker not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_the_end_of_a_jobs_output_is_kept() -> None:
    said = run_job("yes line | head -n 100000; echo last")
    assert str(said["output"]).endswith("line\nlast\n")
    assert len(str(said["output"])) == job.OUTPUT_BYTES


def test_the_warden_ends_writers_while_the_disk_fills_and_leaves_tidying_alone(tmp_path: Path) -> None:
    other = 65534  # nobody: what runs as the tests' own user is not its business
    quota = 4 * 2**20
    warden = Warden(str(tmp_path), quota, supervisor=-1, owner=other)
    if os.getuid() != 0:
        pytest.skip("only root may run a process as another user")
    sleeper = subprocess.Popen(["sleep", "300"], user=other)
    try:
        assert sleeper.pid in dict(processes(other))
        assert warden.look() == []
        (tmp_path / "big").write_bytes(os.urandom(6 * 2**20))
        assert used(str(tmp_path)) > quota
        assert warden.look() == [sleeper.pid]
        sleeper.wait(10)
        (tmp_path / "big").write_bytes(os.urandom(5 * 2**20))
        sleeper = subprocess.Popen(["sleep", "300"], user=other)
        assert warden.look() == [], "less than before"
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_program_waits_for_what_it_comes_after() -> None:
    told = [{"name": "m", "command": ["bin/m"], "directory": "/", "environment": {}, "after": "http://box:1/r"}]
    assert list(programs({"programs": told})[0].command)[-2:] == ["http://box:1/r", "bin/m"]


def test_only_200_over_http_is_an_answer(tmp_path: Path) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ready" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        here = f"http://127.0.0.1:{server.server_port}"
        assert answers(f"{here}/ready")
        assert not answers(f"{here}/other")
    finally:
        server.shutdown()
        server.server_close()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert not answers(f"file://{tmp_path}/file")
    assert not answers(f"{here}/ready")


def test_a_stack_is_described_without_a_secret_and_with_what_containers_have() -> None:
    scenario = scenarios.find("stale_predictions")
    spec = scenario.spec
    told = description.described(spec.service, spec.job, spec.environment, spec.id)
    where = {name: [each["name"] for each in here["programs"]] for name, here in told["containers"].items()}
    assert where == {"registry": ["registry"], "box": ["serving", "monitor"], "traffic": ["provider", "traffic"]}
    assert told["environment"]["MLFLOW_TRACKING_URI"] == "http://registry:5000"
    assert told["jobs"]["nightly"] == ["/workspace/bin/nightly"]
    registry = told["containers"]["registry"]["programs"][0]
    assert registry["command"][registry["command"].index("--host") + 1] == "0.0.0.0"
    assert "registry:*" in registry["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
    assert "seed" not in json.dumps(told)


def test_more_services_than_ports_are_refused_and_every_port_has_a_door() -> None:
    many = [ServiceSpec(name=f"s{n}", owner="candidate", command=("bin/s",), ready="/") for n in range(3)]
    with pytest.raises(ScenarioError, match="s2"):
        description.ports(many)
    for home, ports in description.PORTS.items():
        assert all(door.BEHIND[port] == home for port in ports)
    assert "server s box:3000 " in door.configuration()


def test_without_an_engine_a_start_says_so_and_leaves_nothing(tmp_path: Path, tiny_root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.errors import EnvironmentFault\n"
        "from harness.session import Session\n"
        "here = Session(Path(sys.argv[1]), [Path(sys.argv[2])])\n"
        "try: here.start('tiny', 1, name='a', runtime='compose')\n"
        "except EnvironmentFault as exc: print(exc, here.names())"
    )
    environment = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nonesuch"}
    words = [sys.executable, "-c", code, str(tmp_path / "home"), str(tiny_root)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("No Docker engine answers")
    assert done.stdout.strip().endswith("[]")
