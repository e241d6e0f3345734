"""All routes, and what they share. Their imports take a quarter of the API's start.

So `main.py` imports this module when the server listens, and `/health` is answered
meanwhile. See docs/decisions/small-answers.md.
"""

from typing import Final

from fastapi import FastAPI

from config import Settings
from routers.computations import Computations
from routers.formats.answer import Exports
from routers.outside_calls import OutsideCalls
from routers.plan_cache import PlanCache
from routers.queries.running import Queries
from routers.routes import (
    analytics,
    breakdowns,
    daily_reports,
    dashboard,
    declared,
    downloads,
    events,
    health,
    metrics,
    queries,
    retention,
    room,
    rooms,
    session,
    snapshots,
    sync_runs,
    v1,
    views,
)
from routers.routes.openapi import OPENAPI_ROUTE
from routers.views.answers import Reports
from routers.views.source import ViewsSource
from routers.worker.client import Worker
from util.memory import available_bytes
from util.sentry_wrapper import ErrorContext, Severity, capture_error

_MODULES: Final = (
    analytics,
    room,
    rooms,
    v1,
    downloads,
    breakdowns,
    retention,
    daily_reports,
    health,
    snapshots,
    sync_runs,
    metrics,
    dashboard,
    session,
    events,
    views,
    queries,
)
"""The modules with routes, in the order of the API's document."""


def add_to(app: FastAPI) -> None:
    """Add the routes to *app*, which has those of `/health`, and set what they share."""
    early = len(health.router.routes)
    app.router.routes[-early:] = [r for m in _MODULES for r in m.router.routes]
    app.router.routes.insert(0, OPENAPI_ROUTE)
    worker = Worker()
    app.state.worker = worker
    app.state.exports = Exports(worker)
    app.state.views = ViewsSource(worker)
    app.state.reports = Reports(worker)
    app.state.queries = Queries(worker)
    app.state.plans = PlanCache()


def start(app: FastAPI) -> None:
    """Set what depends on the settings, and add the routes of the SQL files."""
    settings: Settings = app.state.settings
    budget = settings.answer_memory_mb * 2**20 or available_bytes() // 2
    app.state.computations = Computations(budget, app.state.intact)
    app.state.deliveries = OutsideCalls()
    try:
        app.state.view_routes = declared.add_routes(app, settings.views_dir)
    except OSError as error:
        capture_error(error, ErrorContext("api", "list views"), Severity.HIGH)
        app.state.view_routes = []
