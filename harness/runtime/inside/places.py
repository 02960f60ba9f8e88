"""Where things lie inside a stack's containers, and on which ports services listen there."""

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

RUN = "/run/exam"
SOCKET = "/run/exam/supervisor.sock"
LOGS = "/run/exam/logs"
READY = "/run/exam/ready"
"""The address that answers 200 when the container's services are ready, for the health check; empty where none can."""

PROCTOR_PORT = 8088
JUPYTER_PORT = 8888

UIDS = {"workspace": 1000, "registry": 1001, "clock": 0, "private": 0, "sealed": 0}
"""Who owns what lies in a volume, by number: the users of the Dockerfile."""
