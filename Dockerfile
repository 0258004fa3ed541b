# One image for the service, the migration and the agent: `serve` (the default), `migrate`, `agent`.
# BASE may be any Debian with python3 (3.11 or newer) and its venv module.
ARG BASE=python:3.13-slim

# --- build: wheels only, each checked against the hash in the lock; needs no compiler ---
# hadolint ignore=DL3006
FROM ${BASE} AS build
# uv trusts the certificates of the base, so that a base with a house's own authority works.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
WORKDIR /src

COPY requirements/ requirements/
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/uv.txt

# Libraries before code: a change of code does not install them again.
RUN python3 -m venv --without-pip /opt/farmqueue \
 && /opt/uv/bin/uv pip install --python /opt/farmqueue/bin/python \
      --require-hashes --only-binary :all: --compile-bytecode -r requirements/server.txt

COPY . .
RUN /opt/uv/bin/uv build --wheel --out-dir /wheels \
      --build-constraints requirements/run.txt --require-hashes \
 && /opt/uv/bin/uv pip install --python /opt/farmqueue/bin/python \
      --no-deps --no-index --compile-bytecode /wheels/farmqueue-*.whl

# --- what runs ---
# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="farmqueue" \
      org.opencontainers.image.description="An exact, fast scheduler for render and compute farms" \
      org.opencontainers.image.licenses="Apache-2.0"

# Numeric, so that an orchestrator can see that it is not root; fixed, so that volumes keep their owner.
RUN groupadd --gid 10001 farmqueue \
 && useradd --uid 10001 --gid farmqueue --home-dir /var/lib/farmqueue --create-home \
      --shell /usr/sbin/nologin farmqueue

COPY --from=build /opt/farmqueue /opt/farmqueue

ENV PATH=/opt/farmqueue/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FARMQUEUE_HOST=0.0.0.0 \
    FARMQUEUE_PORT=8000 \
    FARMQUEUE_LOG_FORMAT=json \
    FARMQUEUE_STATE_DIR=/var/lib/farmqueue

USER 10001:10001
WORKDIR /var/lib/farmqueue
EXPOSE 8000

# Does the process live? Not /readyz: with the database away, a restart helps no one.
# http.client, as urllib would ask an HTTP_PROXY.
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 CMD ["python", "-c", \
  "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['FARMQUEUE_PORT']), timeout=3); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["farmqueue"]
CMD ["serve"]
