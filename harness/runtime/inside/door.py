"""The door: passes the few published ports of a stack on to its services, as HAProxy's configuration.

An internal network publishes nothing; the door stands in it and in one that does. It passes bytes and looks at none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harness.runtime.inside import places

BEHIND: Mapping[int, str] = {
    **{port: name for name, ports in places.PORTS.items() for port in ports},
    places.PROCTOR_PORT: "proctor",
    places.JUPYTER_PORT: "box",
}
"""Published port -> the container that listens on it, as compose.yaml publishes them."""

HEAD = """global
    maxconn 4000
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
resolvers engine
    nameserver engine 127.0.0.11:53
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    hold nx 1s
    hold other 1s
    hold refused 1s
    hold timeout 1s
"""


def configuration() -> str:
    """The text of haproxy.cfg: names are looked up while it runs, for a container may come back elsewhere."""
    return HEAD + "".join(
        f"listen p{port}\n    bind :{port}\n    server s {name}:{port} resolvers engine init-addr none\n"
        for port, name in BEHIND.items()
    )


def main() -> None:
    """Become the forwarder."""
    config = Path(places.RUN) / "haproxy.cfg"
    config.write_text(configuration(), encoding="utf-8")
    os.execvp("haproxy", ["haproxy", "-db", "-f", str(config)])


if __name__ == "__main__":
    main()
