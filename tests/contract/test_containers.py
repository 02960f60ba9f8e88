"""What a candidate's container must not reach, and what it must not do to others: two live attempts side by side."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from kits import Live, needs_engine, told

from harness.led import Led
from harness.runtime.compose.engine import HOME, ROOT, STACK, client, containers, marked
from harness.runtime.inside import door
from harness.session import Session
from harness.waiting import until

pytestmark = pytest.mark.slow

QUOTA_MIB = 256
SAME_LOOKS = 4
"""A second apart: what the engine still had to do is done by then."""
REGISTRY = """
[[service]]
name = "registry"
owner = "harness"
command = ["python", "-m", "http.server", "{port}", "--bind", "{host}", "--directory", "{registry}"]
ready = "/"
"""
SCAN = """
import socket, sys
for name in sys.argv[1:]:
    for port in range(1, 9000):
        with socket.socket() as s:
            s.settimeout(0.5)
            if s.connect_ex((name, port)) == 0:
                print(name, port)
"""


@pytest.fixture(scope="module")
def pack(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny scenario with a registry of its own, which has a volume to be kept from the candidate."""
    root = tmp_path_factory.mktemp("pack")
    shutil.copytree(tiny_root / "tiny", root / "tiny")
    toml = root / "tiny" / "scenario.toml"
    text = toml.read_text(encoding="utf-8").replace("minutes = 10", "minutes = 60")
    toml.write_text(text.replace("[[job]]", f"{REGISTRY}\n[[job]]", 1), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def session(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    needs_engine()
    here = Session(tmp_path_factory.mktemp("home"), [pack])
    try:
        yield here
    finally:
        for name in here.names():
            here.down(name)


@pytest.fixture(scope="module")
def eve(session: Session) -> Live:
    """The attempt from which everything is tried."""
    with told(WORKSPACE_MIB=QUOTA_MIB):
        session.start("tiny", 1, name="eve", runtime="compose")
    return Live(session, "eve")


@pytest.fixture(scope="module")
def ada(session: Session) -> Live:
    """The neighbour, who must not notice."""
    session.start("tiny", 2, name="ada", runtime="compose")
    return Live(session, "ada")


def test_the_box_has_no_rights(eve: Live) -> None:
    said = eve.shell("cat /proc/self/status")[1]
    fields = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert fields["CapEff"] == fields["CapPrm"] == fields["CapAmb"] == "0" * 16
    assert fields["NoNewPrivs"].strip() == "1"
    assert eve.shell("id -u")[1].strip() == "1000"
    assert eve.shell("touch /usr/bin/x /opt/x /etc/x")[0] != 0, "its root is read-only"
    assert eve.shell("mount -t tmpfs none /mnt")[0] != 0
    assert eve.shell("ls /var/run/docker.sock /run/docker.sock")[0] != 0


def test_no_container_has_the_engines_socket_or_a_folder_of_the_host(eve: Live) -> None:
    for each in containers({STACK: eve.stack.label}):
        kinds = {mount["Type"] for mount in each.attrs["Mounts"]}
        assert kinds <= {"volume"}, each.name
        assert each.attrs["HostConfig"]["CapDrop"] == ["ALL"], each.name
        assert each.attrs["HostConfig"]["ReadonlyRootfs"], each.name
        assert each.attrs["HostConfig"]["PidsLimit"] > 0, each.name
        assert each.attrs["HostConfig"]["Memory"] > 0, each.name
        assert each.attrs["HostConfig"]["MemorySwap"] == each.attrs["HostConfig"]["Memory"], each.name
        assert each.attrs["HostConfig"]["NanoCpus"] > 0, each.name
        assert each.attrs["HostConfig"]["LogConfig"]["Config"]["max-size"], each.name
        assert not each.attrs["HostConfig"]["Privileged"], each.name


def test_what_is_published_is_published_on_this_machine_alone(eve: Live) -> None:
    for each in containers({STACK: eve.stack.label}):
        bound = [one for ones in (each.attrs["NetworkSettings"]["Ports"] or {}).values() for one in ones or []]
        assert {one["HostIp"] for one in bound} <= {"127.0.0.1"}, each.name
        assert not bound or "-door-" in str(each.name)


def test_other_containers_answer_on_the_ports_of_their_services_alone(eve: Live) -> None:
    names = ["box", "registry", "traffic", "proctor", "rehearsal", "door"]
    until(lambda: eve.shell("curl -sf http://127.0.0.1:8888/api")[0] == 0, 120.0)  # no start waits for it
    code, output = eve.of("box").exec_run(["python", "-c", SCAN, *names], user="1000")
    assert code == 0, output
    found = set(output.decode().splitlines())
    own = {"box 3000", "box 8888"}
    assert found >= own, "the scan finds what listens"
    assert found - own == {
        "registry 5000", "proctor 8088", "rehearsal 8089", *(f"door {port}" for port in door.BEHIND)
    }  # fmt: skip


def test_keeper_and_layout_are_in_no_network(eve: Live) -> None:
    assert list(eve.of("keeper").attrs["NetworkSettings"]["Networks"]) == ["none"]
    assert eve.shell("getent hosts keeper layout")[0] != 0


def test_neither_this_machine_nor_the_world_is_reached_from_the_box(eve: Live) -> None:
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen()
        port = listening.getsockname()[1]
        here = [
            address.address
            for addresses in psutil.net_if_addrs().values()
            for address in addresses
            if address.family == socket.AF_INET and not address.address.startswith("127.")
        ]
        assert here
        for address in [*here, "192.0.2.1", "198.51.100.1"]:
            probe = f"import socket; socket.create_connection(('{address}', {port}), 2)"
            code, output = eve.of("box").exec_run(["python", "-c", probe], user="1000")
            assert code != 0, address
            assert b"unreachable" in output or b"timed out" in output, (address, output[-200:])
    assert eve.shell("getent hosts example.org")[0] != 0
    routes = [line.split()[1] for line in eve.shell("cat /proc/net/route")[1].splitlines()[1:] if line.strip()]
    assert routes, "the attempt's own network"
    assert "00000000" not in routes, "no way further"


def test_the_neighbours_containers_are_not_reached(eve: Live, ada: Live) -> None:
    for service in ("box", "proctor", "registry"):
        networks = ada.of(service).attrs["NetworkSettings"]["Networks"]
        address = next(iter(networks.values()))["IPAddress"]
        port = {"box": 3000, "proctor": 8088, "registry": 5000}[service]
        probe = f"import socket; socket.create_connection(('{address}', {port}), 2)"
        assert eve.of("box").exec_run(["python", "-c", probe], user="1000")[0] != 0
    assert eve.shell(f"getent hosts {ada.of('box').name}")[0] != 0


def test_graders_files_registry_and_state_are_not_in_the_box(eve: Live) -> None:
    for folder in ("/private", "/sealed", "/state", "/registry"):
        assert eve.shell(f"ls -A {folder} 2>/dev/null")[1] == "", folder
    found = eve.shell("find / -xdev \\( -name 'faults.py' -o -name 'checks.py' -o -name 'sealed.json' \\) 2>/dev/null")[
        1
    ]
    assert [line for line in found.splitlines() if "/site-packages/" not in line] == []
    assert eve.shell("echo x > /clock/business_date")[0] != 0, "the date is the harness's"


def test_the_first_process_of_the_box_is_out_of_reach(eve: Live) -> None:
    assert (
        eve.shell("kill -9 1; cat /proc/1/environ; cat /proc/1/maps")[1].count("denied")
        + eve.shell("kill -9 1")[1].lower().count("not permitted")
        >= 3
    )
    assert eve.shell("ls /proc/1/root /proc/1/fd")[0] != 0
    owners = eve.shell("stat -c %u /proc/[0-9]* 2>/dev/null | sort -u")[1].split()
    assert set(owners) == {"0", "1000"}, "the processes of other containers are not seen"


def test_the_proctors_state_and_the_seed_are_told_to_nobody(eve: Live) -> None:
    seed = json.loads(eve.shell("cat /sealed/sealed.json", "proctor")[1])["seed"]
    assert seed == 1
    for each in containers({STACK: eve.stack.label}):
        told = [line for line in each.attrs["Config"]["Env"] or [] if line.startswith("SEED=")]
        assert told in ([], ["SEED="]), each.name
    assert "seed" not in httpx.get(f"{Led(eve.stack).url}/status", timeout=5.0).text


def test_a_fork_bomb_stays_in_its_box(eve: Live, ada: Live) -> None:
    bomb = threading.Thread(
        target=eve.shell, args=("python3 -c 'import os\nwhile True:\n    try: os.fork()\n    except OSError: pass'",)
    )
    bomb.start()
    try:
        limit = eve.of("box").attrs["HostConfig"]["PidsLimit"]
        until(lambda: eve.tasks() > limit / 2, 30.0)
        # The kernel counts forks for a moment that it is about to refuse. A bomb without a limit never comes back.
        until(lambda: eve.tasks() <= limit, 60.0)
        until(ada.answers, 20.0)
        until(lambda: ada.shell("echo fine")[1] == "fine\n", 20.0)
    finally:
        eve.of("box").restart(timeout=1)
        bomb.join(30)
    until(eve.answers, 180.0)


def test_memory_beyond_the_limit_is_the_boxs_own_trouble(eve: Live, ada: Live) -> None:
    code, _ = eve.shell("python3 -c 'x = bytearray(6 * 2**30); print(len(x))'")
    assert code != 0
    until(eve.answers, 180.0)
    until(ada.answers, 20.0)


def test_a_full_disk_is_ended_at_the_quota_and_can_be_tidied(eve: Live, ada: Live) -> None:
    writer = "i=0; while true; do i=$((i+1)); head -c 4000000 /dev/zero > fill.$i || sleep 1; sleep 0.1; done"
    code, _ = eve.shell(f"timeout 60 sh -c '{writer}'")
    assert code == 137, "its writer was killed"
    taken = int(eve.shell("du -sm /workspace")[1].split()[0])
    assert QUOTA_MIB < taken < 2 * QUOTA_MIB
    assert "writers are ended" in eve.of("box").logs(tail=20).decode()
    assert eve.shell("rm fill.*; sleep 5; echo tidy")[1] == "tidy\n", "who tidies up is left alone"
    until(eve.answers, 180.0)
    until(ada.answers, 20.0)


def test_a_flood_of_logs_is_cut(eve: Live) -> None:
    eve.shell("cp bin/serve bin/page; printf '#!/bin/sh\\nyes flooded &\\nexec bin/page\\n' > bin/serve")
    assert eve.shell("exam restart serving")[0] == 0
    try:
        until(lambda: eve.shell("ls /run/exam/logs/serving.log.1")[0] == 0, 20.0)
        taken = int(eve.shell("du -sm /run/exam 2>/dev/null")[1].split()[0])  # a log may be turned meanwhile
        assert taken <= 16, "two files of five megabytes, and one that is being cut"
        until(eve.answers, 20.0)
    finally:
        eve.shell("mv bin/page bin/serve; exam restart serving")
    assert eve.shell("echo x > /proc/1/fd/1")[0] != 0, "the engine's own log is out of reach"
    eve.shell("dd if=/dev/zero of=/run/exam/big bs=1M count=500; dd if=/dev/zero of=/tmp/big bs=1M count=3000")
    assert int(eve.shell("du -sm /run/exam/big")[1].split()[0]) <= 64, "scratch has a size"
    assert int(eve.shell("du -sm /tmp/big")[1].split()[0]) <= 1024
    eve.shell("rm -f /run/exam/big /tmp/big")
    until(eve.answers, 180.0)


def test_a_candidate_restarts_by_itself_and_the_work_survives_a_restart_of_everything(eve: Live) -> None:
    eve.shell("echo kept > note.txt")
    before = eve.shell("cat note.txt")[1]
    assert eve.shell("exam restart serving")[0] == 0
    started = httpx.get(f"{Led(eve.stack).url}/status", timeout=5.0).json()["started_at"]
    published = {port: eve.stack.published(port) for port in door.BEHIND}
    everything = [each for each in containers({STACK: eve.stack.label}) if each.status == "running"]
    for each in everything:
        each.kill()
    for each in everything:
        each.start()
    until(eve.answers, 180.0)
    assert eve.shell("cat note.txt")[1] == before
    assert {port: eve.stack.published(port) for port in door.BEHIND} == published, "on the same ports"
    assert httpx.get(f"{Led(eve.stack).url}/status", timeout=5.0).json()["started_at"] == started, "the clock went on"


def settled(stack: str) -> None:
    """Wait until the engine has done what it was asked for: a container more may come after its asker has ended."""
    seen = [set[str]()] * SAME_LOOKS

    def still() -> bool:
        seen.append({str(each.id) for each in containers({STACK: stack})})
        return all(look == seen[-1] for look in seen[-SAME_LOOKS:])

    until(still, 60.0, 1.0)


def test_what_a_killed_start_left_is_found_by_its_home_and_removed(eve: Live, session: Session, pack: Path) -> None:
    code = (
        "from pathlib import Path; from harness.session import Session\n"
        f"Session(Path({str(session.home)!r}), [Path({str(pack)!r})]).start('tiny', 3, name='lost', runtime='compose')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, start_new_session=True)
    folder = session.home / "attempts" / "lost" / "run"
    stack = marked(str(session.home), str(folder))
    try:
        until(lambda: containers({STACK: stack}), 60.0, 0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # compose, too
        process.wait()
    settled(stack)
    assert containers({HOME: marked(str(session.home), str(session.home)), STACK: stack})
    assert session.left_over() == [str(folder)], "not what the live attempts have"
    assert Session(session.home.parent / "another").left_over() == [], "nor what belongs to another home"
    with told(EXAM_TAG="of-no-image"):
        assert session.clean() == [str(folder)], "what is left needs no image to be removed"
    label = {"label": f"{STACK}={stack}"}
    assert not containers({STACK: stack})
    assert not client().networks.list(filters=label)
    assert not client().volumes.list(filters=label)
    until(eve.answers, 20.0)
    session.down("lost")


def test_a_context_and_an_address_lead_to_the_engine_and_compose_alone_ends_an_attempt(
    session: Session, pack: Path, tmp_path: Path
) -> None:
    """The engine is found as Docker's own client finds it, by a name that only this context has."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        pytest.skip("the engine has no socket here to give another name")
    (tmp_path / "engine.sock").symlink_to(host.removeprefix("unix://"))
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    environment |= {"DOCKER_CONFIG": str(tmp_path / "config"), "EXAM_ADDRESS": "127.0.0.2"}
    other = ["docker", "context", "create", "other", "--docker", f"host=unix://{tmp_path}/engine.sock"]
    subprocess.run(other, env=environment, check=True, capture_output=True)
    code = (
        "from pathlib import Path; from harness.session import Session\n"
        f"here = Session(Path({str(session.home)!r}), [Path({str(pack)!r})])\n"
        "attempt, stack = here.start('tiny', 5, name='away', runtime='compose')\n"
        "print(stack.endpoint('serving'), stack.container('box').labels['com.docker.compose.project'])"
    )

    def start(context: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment | {"DOCKER_CONTEXT": context},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )

    try:
        assert "nowhere" in start("nowhere").stderr, "what the context names is used, and nothing else"
        started = start("other")
        assert started.returncode == 0, started.stderr
        url, project = started.stdout.split()
        assert url.startswith("http://127.0.0.2:")
        assert httpx.get(f"{url}/word", timeout=5.0).status_code == 200
        down = ["docker", "compose", "-p", project, "down", "-v", "-t", "0"]
        subprocess.run(down, cwd=ROOT, check=True, capture_output=True, timeout=180)
        label = {"label": f"com.docker.compose.project={project}"}
        assert not client().containers.list(all=True, filters=label)
        assert not client().networks.list(filters=label)
        assert not client().volumes.list(filters=label)
    finally:
        session.down("away")


@pytest.mark.timeout(1800)  # eight starts and a grading
def test_eight_attempts_and_a_grading_fit_side_by_side(session: Session, tmp_path: Path) -> None:
    """Address pools and ports suffice on an engine as it comes: two networks a stack."""
    names = [f"seat-{number}" for number in range(8)]
    for name in ("eve", "ada"):
        session.down(name)
    try:
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda name: session.start("tiny", 4, name=name, runtime="compose"), names))
        seats = [Live(session, name) for name in names]
        session.submit(session.attempt(names[0]))
        record, _ = session.grade(names[0], tmp_path, lambda what, done, of: None)
        assert record.score.complete
        assert record.certifiable
        for seat in seats:
            until(seat.answers, 60.0)
        networks = [each for seat in seats for each in seat.of("door").attrs["NetworkSettings"]["Networks"]]
        assert len(set(networks)) == 16
    finally:
        for name in names:
            session.down(name)
