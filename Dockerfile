# syntax=docker/dockerfile:1
# Two targets from one build: `docker build --target api .` and `--target updater .`

FROM ghcr.io/astral-sh/uv:0.13 AS uv

FROM python:3.12-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /app
# The packages first: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev
COPY main.py update_readmodel.py config.py LICENSE ./
COPY calculations calculations
COPY readmodel readmodel
COPY routers routers
COPY static static
COPY updater updater
COPY util util
RUN .venv/bin/python -m compileall -q main.py update_readmodel.py config.py calculations readmodel routers updater util

# What runs: Python, the packages and the code; no uv, no compiler, no shell needed.
FROM python:3.12-slim-bookworm AS base
RUN groupadd --system --gid 10001 fpp \
    && useradd --system --uid 10001 --gid fpp --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin fpp \
    && install --directory --owner=fpp --group=fpp --mode=0750 /data
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
# Healthy while it answers; 503 before the first sync is not.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5100/health', timeout=8)"]
CMD ["python", "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "5100", "--timeout-graceful-shutdown", "8"]

# Fills an empty database with sample rows; only for trying it out.
FROM base AS sample
COPY demo demo
COPY deploy/__init__.py deploy/sample_database.py deploy/
CMD ["python", "-m", "deploy.sample_database"]

# What is built when no target is named.
FROM api
