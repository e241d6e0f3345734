# syntax=docker/dockerfile:1
# Four targets: `docker build --target api .`, likewise `updater`, `collector` and `cluster`.

FROM ghcr.io/astral-sh/uv:0.13.0@sha256:cdc6093146eb3ff6a40107b38f008b789e050e77ad87865e381d9917da55a168 AS uv

FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254 AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /app
# Packages first: they change less often than the code.
COPY pyproject.toml uv.lock ./
# PostgreSQL as the source, and traces: "EXTRAS=--extra postgres --extra telemetry" as a build argument
ARG EXTRAS=""
RUN uv sync --locked --no-dev $EXTRAS
COPY main.py update_readmodel.py collect_events.py run_cluster.py startup.py config.py LICENSE ./
COPY calculations calculations
COPY cluster cluster
COPY collector collector
COPY events events
COPY readmodel readmodel
COPY routers routers
COPY sqlfiles sqlfiles
COPY static static
COPY updater updater
COPY util util
COPY views views
RUN .venv/bin/python -m compileall -q main.py update_readmodel.py collect_events.py run_cluster.py startup.py config.py calculations cluster collector events readmodel routers sqlfiles updater util

# Runtime image: Python, the packages and the code; without uv or a compiler.
FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254 AS base
RUN groupadd --system --gid 10001 fpp \
    && useradd --system --uid 10001 --gid fpp --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin fpp \
    && install --directory --owner=fpp --group=fpp --mode=0750 /data /spool
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
USER fpp

FROM base AS updater
# Healthy while the read model is younger than three sync intervals.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --start-interval=2s --retries=3 \
    CMD ["python", "update_readmodel.py", "status", "--check"]
CMD ["python", "update_readmodel.py", "--every"]

FROM base AS api
EXPOSE 5100
# Healthy while /health answers 200; before the first sync it answers 503.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5100/health', timeout=8)"]
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "5100", "--timeout-graceful-shutdown", "8"]

FROM base AS collector
EXPOSE 5200
# Healthy while the process answers; /readyz also looks at the spool.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5200/health', timeout=8)"]
CMD ["python", "-m", "uvicorn", "collect_events:app", "--host", "0.0.0.0", "--port", "5200", "--timeout-graceful-shutdown", "8"]

# A scheduler, or with `worker` as its argument one that runs plans; build with EXTRAS="--extra dask".
FROM base AS cluster
ENTRYPOINT ["python", "run_cluster.py"]
CMD ["scheduler"]

# Fills an empty database with sample rows, for trials only.
FROM base AS sample
COPY demo demo
COPY deploy/__init__.py deploy/sample_database.py deploy/
CMD ["python", "-m", "deploy.sample_database"]

# Default target.
FROM api
