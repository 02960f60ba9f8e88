"""What runs inside the containers of a stack, looked at without one."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from harness import scenario as scenarios
from harness.errors import ScenarioError
from harness.model import ServiceSpec
from harness.runtime.compose import description
from harness.runtime.inside import disk, door, job, places, users
from harness.runtime.inside.after import answers
from harness.runtime.inside.keeper import Keeper, Outside, serve
from harness.runtime.inside.supervised import programs
from harness.runtime.inside.warden import Limits, Volume, Warden, processes
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


@pytest.mark.parametrize("moment", ["feeds", ".new.partial"])
def test_a_link_swapped_in_while_the_keeper_writes_leads_nowhere(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Before the folder is opened, and between that and the file."""
    outside, place = tmp_path / "outside", tmp_path / "workspace" / "feeds"
    outside.mkdir()
    place.mkdir()
    opened = os.open

    def swap_and_open(path: Any, flags: int, *more: Any, **kept: Any) -> int:
        if path == moment and not place.is_symlink():
            place.rename(tmp_path / "aside")
            place.symlink_to(outside)
        return opened(path, flags, *more, **kept)

    monkeypatch.setattr(os, "open", swap_and_open)
    with suppress(Outside, OSError):
        keeper.write("feeds/new", b"x")
    assert place.is_symlink(), "it was swapped"
    assert list(outside.iterdir()) == []


MANY = 2000


def removed_by_another(keeper: Keeper, folder: Path) -> threading.Thread:
    """A folder of many files, and who has just begun to remove it."""
    for number in range(MANY):
        place = folder / str(number % 50)
        place.mkdir(parents=True, exist_ok=True)
        (place / str(number)).touch()
    racing = threading.Thread(target=keeper.remove, args=[folder.name])
    racing.start()
    return racing


def test_a_folder_goes_also_while_somebody_else_removes_it(keeper: Keeper, tmp_path: Path) -> None:
    racing = removed_by_another(keeper, tmp_path / "workspace" / "many")
    keeper.remove("many")
    assert not (tmp_path / "workspace" / "many").exists()
    racing.join()


def test_a_listing_survives_what_goes_meanwhile(keeper: Keeper, tmp_path: Path) -> None:
    racing = removed_by_another(keeper, tmp_path / "workspace" / "many")
    while racing.is_alive():
        assert len(keeper.listing("many")) <= MANY
    assert keeper.listing("many") == []


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


def deep(root: Path, folders: int) -> None:
    """A path of so many folders, longer than the system names, with a file at its end."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(folders):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_what_a_folder_takes_is_every_name_and_each_files_blocks_once(tmp_path: Path) -> None:
    empty = disk.taken(str(tmp_path))
    (tmp_path / "a" / "b").mkdir(parents=True)
    folders = sum(each.stat().st_blocks * 512 for each in (tmp_path / "a", tmp_path / "a" / "b"))
    big = tmp_path / "a" / "big"
    big.write_bytes(os.urandom(2**20))
    os.sync()
    (tmp_path / "a" / "b" / "same").hardlink_to(big)
    (tmp_path / "outside").symlink_to("/")
    (tmp_path / "empty").touch()
    found = disk.taken(str(tmp_path))
    assert (empty.bytes, empty.names) == (0, 0)
    assert found.names == 6
    assert found.bytes == big.stat().st_blocks * 512 + folders
    assert disk.taken(str(tmp_path / "nonesuch")).names == 0


def test_a_tree_deeper_than_a_recursion_is_measured_and_one_deeper_than_can_be_opened_counts_as_full(
    tmp_path: Path,
) -> None:
    deep(tmp_path, 1500)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        assert disk.taken(str(tmp_path)).names == 1501
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
        assert Limits(2**40).closed(disk.taken(str(tmp_path)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        subprocess.run(["rm", "-rf", str(tmp_path / "deep")], check=True)


def test_a_look_ends_though_a_folder_holds_more_names_than_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "MOST", 20)
    for number in range(50):
        (tmp_path / str(number)).touch()
    assert disk.taken(str(tmp_path)).names == 21


def test_what_was_measured_is_passed_on_whole_or_as_nothing(tmp_path: Path) -> None:
    place = str(tmp_path / "taken")
    assert disk.got(place) == disk.Taken()
    disk.put(disk.Taken(7, 3, 1.5), place)
    assert disk.got(place) == disk.Taken(7, 3, 1.5)
    Path(place).write_text("[1]", encoding="utf-8")
    assert disk.got(place) == disk.Taken()


NOBODY = 54321
"""A user whom no machine has: what runs as the tests' own is not a warden's business."""

QUOTA = 4 * 2**20


class Watched:
    """A volume whose measurements are told, with a warden that looks at it, and a writer to be ended."""

    def __init__(self) -> None:
        if os.getuid() != 0:
            pytest.skip("only root may run a process as another user")
        self.now, self.left = disk.Taken(), 2**40
        self.sleeper = self.sleep()
        self.spared = self.sleep()
        limits = Limits(QUOTA, floor=2**30, names=100)
        volume = Volume("/watched", NOBODY, lambda: self.now)
        self.warden = Warden(volume, limits, self.spared.pid, lambda: self.left, self._end)

    def _end(self, user: int) -> None:
        assert user == NOBODY
        self.sleeper.kill()
        self.spared.kill()

    @staticmethod
    def sleep() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "300"], user=NOBODY)

    def look(self, mib: float = 0, names: int = 0, left: int = 2**40) -> str:
        self.now, self.left = disk.Taken(int(mib * 2**20), names, time.monotonic()), left
        return self.warden.look()

    def ended(self, *names: str) -> bool:
        """Whether these were ended, "writer" and "supervisor", and nobody else; the writer begins anew."""
        each = {"writer": self.sleeper, "supervisor": self.spared}
        with suppress(subprocess.TimeoutExpired):
            for name in names:
                each[name].wait(10.0)
        found = {name for name, process in each.items() if process.poll() is not None}
        if "writer" in found:
            self.sleeper = self.sleep()
        return found == {*names}


@pytest.fixture
def watched() -> Iterator[Watched]:
    here = Watched()
    yield here
    for each in (here.sleeper, here.spared):
        each.kill()
        each.wait()


def test_the_warden_ends_writers_while_the_disk_fills_and_leaves_tidying_alone(watched: Watched) -> None:
    assert watched.sleeper.pid in dict(processes(NOBODY))
    assert watched.look(3) == ""
    assert "takes 6 MiB of 4" in watched.look(6)
    assert watched.ended("writer")
    assert watched.look(7) == "", "what the ended ones wrote since they were measured"
    assert watched.look(5) == "", "less than before"
    assert watched.look(5, names=50) != "", "more names"
    assert watched.ended("writer")


def test_names_without_content_have_a_quota_too(watched: Watched) -> None:
    assert "101 names of 100" in watched.look(0, names=101)
    assert watched.ended("writer")


def test_who_goes_on_at_the_next_look_is_ended_with_the_supervisor(watched: Watched) -> None:
    assert watched.look(5)
    assert watched.ended("writer")
    assert watched.look(6) == ""
    watched.warden.look()  # the same measurement once more: it says nothing new
    assert watched.ended()
    assert watched.look(7)
    assert watched.ended("writer", "supervisor")


def test_nothing_runs_above_twice_the_quota_whether_it_grows_or_not(watched: Watched) -> None:
    assert watched.look(9)
    assert watched.ended("writer", "supervisor")
    watched.warden.look()
    assert watched.ended("writer", "supervisor")
    assert watched.look(7, names=201)
    assert watched.ended("writer", "supervisor")


def test_a_disk_that_others_need_is_not_filled_by_what_no_name_shows(watched: Watched) -> None:
    assert watched.look(1, left=2**31) == ""
    assert "MiB left" in watched.look(1, left=2**29)
    assert watched.ended("writer")
    assert watched.look(1, left=2**29) == "", "it takes nothing more"


FIRST = """
import os, subprocess, time
from pathlib import Path
from typing import Any
from harness.runtime.inside import users
from harness.runtime.inside.warden import processes

assert os.getpid() == 1, "only where nothing but this is seen"
theirs = subprocess.Popen(["sleep", "300"], user=54321)
ours = subprocess.Popen(["sleep", "300"])
begun, told = os.pipe()
if os.fork() == 0:
    os.setuid(54321)
    os.write(told, b"x")
    while True:
        if os.fork():
            os._exit(0)
os.read(begun, 1)
users.end_all(54321)
assert theirs.wait(10) == -9
end = time.monotonic() + 10
while time.monotonic() < end:
    while os.waitpid(-1, os.WNOHANG)[0]:
        pass
    if not list(processes(54321)):
        break
print(len(list(processes(54321))), ours.poll(), os.getresuid())
ours.kill()
"""


def test_a_chain_of_forks_does_not_escape_and_only_that_users_processes_are_ended() -> None:
    """In a process namespace of its own. Each link lives for less than a look at /proc takes."""
    namespace = ["unshare", "--fork", "--pid", "--kill-child", "--mount-proc"]
    if os.getuid() != 0 or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may make a process namespace")
    words = [*namespace, sys.executable, "-c", FIRST]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0 None (0, 0, 0)", done.stderr


def test_all_processes_are_ended_by_the_first_of_a_container_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("this would end what is not the test's"))
    with pytest.raises(PermissionError):
        users.end_all(NOBODY)


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
    for home, ports in places.PORTS.items():
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
