# One image for each role. What a role must not hold is not there, rather than filtered out:
#   tools     files of a stack, the quota watch, the door: Python's standard library and a forwarder
#   registry  the candidate's packages; MLflow runs in it
#   box       the candidate's container: these packages, JupyterLab, editors, the `exam` client
#   driver    sends load: Locust and the few modules of the harness that it needs
#   private   lays variants out, plays the world, leads the attempt: harness, scenarios and the dataset
FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 LANG=C.UTF-8 PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin
# Fixed numbers, since volumes are filled by number. The mount points carry their owners into new volumes.
RUN useradd --uid 1000 --create-home --shell /bin/bash candidate \
 && useradd --uid 1001 --no-create-home --shell /usr/sbin/nologin registry \
 && useradd --uid 1002 --no-create-home --shell /usr/sbin/nologin exam \
 && install -d -o 1000 -g 1000 /workspace /state \
 && install -d -o 1001 -g 1001 /registry \
 && install -d /clock /private /sealed

FROM base AS installer
COPY requirements/bootstrap.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/uv && /opt/uv/bin/python -m pip install --quiet --require-hashes -r /tmp/bootstrap.txt

# The candidate's packages are one layer that registry, box and private share.
FROM base AS packages
RUN python -m venv --without-pip /opt/venv
COPY requirements/candidate.txt /opt/requirements/
RUN --mount=from=installer,source=/opt/uv,target=/opt/uv --mount=type=cache,target=/root/.cache/uv \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install --quiet --require-hashes --compile-bytecode \
    --python /opt/venv/bin/python -r /opt/requirements/candidate.txt

FROM base AS inside
COPY harness/__init__.py /opt/exam/harness/
COPY harness/runtime/__init__.py harness/runtime/programs.py /opt/exam/harness/runtime/
COPY harness/runtime/inside/ /opt/exam/harness/runtime/inside/
RUN python -m compileall -q /opt/exam
ENV PYTHONPATH=/opt/exam

FROM inside AS tools
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
USER 1002

FROM packages AS registry
COPY --from=inside /opt/exam /opt/exam
ENV PYTHONPATH=/opt/exam
USER 1001
CMD ["python", "-sP", "-m", "harness.runtime.inside.supervised", "registry"]

FROM packages AS box
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends git curl less nano vim-tiny procps sqlite3 jq \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
COPY requirements/box.txt /opt/requirements/
RUN --mount=from=installer,source=/opt/uv,target=/opt/uv --mount=type=cache,target=/root/.cache/uv \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install --quiet --require-hashes --compile-bytecode \
    --python /opt/venv/bin/python -r /opt/requirements/box.txt
COPY --from=inside /opt/exam /opt/exam
COPY harness/errors.py harness/text.py harness/waiting.py /opt/exam/harness/
COPY harness/client/ /opt/exam/harness/client/
COPY containers/exam /usr/local/bin/exam
ENV HOME=/home/candidate EDITOR=nano PYTHONPATH=/opt/exam
USER 1000
CMD ["python", "-sP", "-m", "harness.runtime.inside.supervised", "box"]

FROM base AS driver
RUN python -m venv --without-pip /opt/venv
COPY requirements/driver.txt /opt/requirements/
RUN --mount=from=installer,source=/opt/uv,target=/opt/uv --mount=type=cache,target=/root/.cache/uv \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install --quiet --require-hashes --compile-bytecode \
    --python /opt/venv/bin/python -r /opt/requirements/driver.txt
COPY harness/__init__.py harness/errors.py harness/model.py /opt/exam/harness/
COPY harness/probes/__init__.py harness/probes/answers.py harness/probes/load_plan.py harness/probes/load_driver.py /opt/exam/harness/probes/
RUN python -m compileall -q /opt/exam
ENV PYTHONPATH=/opt/exam LOCUST_SKIP_LOG_SETUP=1
USER 1002
CMD ["sleep", "infinity"]

FROM packages AS private
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
COPY requirements/private.txt /opt/requirements/
RUN --mount=from=installer,source=/opt/uv,target=/opt/uv --mount=type=cache,target=/root/.cache/uv \
    UV_LINK_MODE=copy /opt/uv/bin/uv pip install --quiet --require-hashes --compile-bytecode \
    --python /opt/venv/bin/python -r /opt/requirements/private.txt
COPY harness/ /opt/exam/harness/
COPY scenarios/ /opt/exam/scenarios/
RUN python -m compileall -q /opt/exam/harness /opt/exam/scenarios
ENV PYTHONPATH=/opt/exam MPLBACKEND=Agg
USER 1002
