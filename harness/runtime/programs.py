"""What supervisord is told of a stack's programs. Standard library only: it runs in containers of a stack, too."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

LOG_BYTES = 5_000_000
STOP_SECONDS = 8.0

QUIET = {
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Variables of every service and job: nothing reports home, logs come at once."""


@dataclass(frozen=True)
class Program:
    """One program under supervision: `command` as it is executed, `environment` besides the supervisor's own."""

    name: str
    command: Sequence[str]
    directory: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """What the placeholders of scenario.toml stand for, as seen from where the program runs."""

    urls: Mapping[str, str]
    scenario: str
    registry: str
    private: str
    clock: str
    host: str

    def fill(self, word: str, port: int = 0) -> str:
        """A word of a command or an environment with its placeholders filled. Raises KeyError for an unknown one."""
        return word.format(
            port=port,
            host=self.host,
            url=SimpleNamespace(**self.urls),
            scenario=self.scenario,
            registry=self.registry,
            private=self.private,
            clock=self.clock,
        )


def configuration(
    programs: Iterable[Program], *, socket: str, logs: str, pidfile: str, foreground: bool, autostart: bool
) -> str:
    """The text of supervisord.conf. Each program's log is `logs`/NAME.log, kept within two times LOG_BYTES."""
    head = f"""[unix_http_server]
file={socket}
chmod=0700

[supervisord]
logfile={logs}/supervisor.log
logfile_maxbytes={LOG_BYTES}
logfile_backups=0
pidfile={pidfile}
nodaemon={_word(foreground)}
silent=true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    return head + "".join(_program(program, logs, autostart) for program in programs)


def _program(program: Program, logs: str, autostart: bool) -> str:
    environment = ",".join(f'{name}="{value.replace("%", "%%")}"' for name, value in program.environment.items())
    return f"""
[program:{program.name}]
command={" ".join(_quoted(word) for word in program.command)}
directory={program.directory}
environment={environment}
autostart={_word(autostart)}
autorestart=true
startsecs=2
startretries=3
stopasgroup=true
killasgroup=true
stopwaitsecs={STOP_SECONDS:.0f}
redirect_stderr=true
stdout_logfile={logs}/{program.name}.log
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups=1
"""


def _quoted(word: str) -> str:
    """A word as supervisord's configuration wants it: % is its interpolation, and ` ;` would begin a comment."""
    return shlex.quote(word).replace("%", "%%")


def _word(yes: bool) -> str:
    return "true" if yes else "false"
