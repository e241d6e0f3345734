"""The SQL files of derived tables and reports in VIEWS_DIR."""

from collections.abc import Iterator

from config import Settings
from readmodel.store import metrics
from sqlfiles.files import sql_files
from updater import views
from updater.doctor.check_result import CheckResult, passed, warning
from updater.status import view_lines
from util.errors import FppError


def check_sql_files(settings: Settings) -> Iterator[CheckResult]:
    """Check the SQL files. A bad one fails no sync, so it is a warning."""
    if not sql_files(settings.views_dir):
        yield passed("views", f"no SQL files in {settings.views_dir}")
        return
    try:
        catalogue = views.read_catalogue(settings)
    except (OSError, FppError) as error:
        yield warning("views", f"VIEWS_DIR {settings.views_dir}: {error}")
        return
    yield from (warning("views", str(error)) for error in catalogue.errors)
    counts = f"{len(catalogue.tables)} tables and {len(catalogue.reports)} reports"
    if idle := len(catalogue.unmirrored):
        counts += f", and {idle} definitions that read tables which TABLES leaves out,"
    yield passed("views", f"{counts} in {settings.views_dir}")
    manifest = metrics.current_manifest(settings.data_dir)
    for line in view_lines(manifest):
        yield warning("views", line.strip())
