"""Where things lie inside a stack's containers, on which ports services listen there, and how programs are started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WORKSPACE = "/workspace"
REGISTRY = "/registry"
PRIVATE = "/private"
SCENARIOS = "/private/scenarios"
DATA = "/private/data"
SEALED = "/sealed"
STATE = "/state"
CLOCK_FOLDER = "/clock"
CLOCK = "/clock/business_date"
STACK = "/clock/stack.json"
"""What runs where: see `harness.runtime.compose.description`. Nothing in it is secret."""

TAKEN = "/clock/taken"
"""What the workspace takes of its disk: the keeper measures it, the box's warden reads it."""

RUN = "/run/exam"
SOCKET = "/run/exam/supervisor.sock"
LOGS = "/run/exam/logs"
READY = "/run/exam/ready"
"""The address that answers 200 when the container's services are ready, for the health check; empty where none can."""

PORTS: Mapping[str, Sequence[int]] = {"registry": (5000,), "box": (3000, 3001), "traffic": (7001, 7002)}
"""The ports of services in each container, in the order of scenario.toml."""

PROCTOR_PORT = 8088
JUPYTER_PORT = 8888

UIDS = {"workspace": 1000, "registry": 1001, "clock": 0, "private": 0, "sealed": 0}
"""Who owns what lies in a volume, by number: the users of the Dockerfile."""

SAFE = "-sP"
"""Options of every Python of ours in a container: neither the current folder, which may be the candidate's, nor the
packages of a home folder come before ours."""

PYTHON = ("python", SAFE, "-m")
