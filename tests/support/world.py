"""What the page is shown with: a sample database, the real updater, the real API."""

import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from demo import source
from tests.support import preloaded
from tests.support.programs import (
    ROOT,
    START_SECONDS,
    environ,
    run_updater,
    wait_for_api,
)
from tests.support.servers import closed_port

TOKEN = "correct-horse-battery-staple"
SCALE = 0.06
"""Of most tests' sample; 1 is 130,000 rows."""

STOP_SECONDS = 15

HOSTILE = '<img src=x onerror="hacked=1"><script>hacked=1</script>'
"""What must be shown as it is, wherever the database holds it."""

_HOSTILE_ROWS = (
    (
        "UPDATE fpp_rooms SET name = ? WHERE id ="
        " (SELECT room_id FROM fpp_votes GROUP BY 1 ORDER BY COUNT(*) DESC, 1 LIMIT 1)"
    ),
    "UPDATE fpp_page_views SET source = ? WHERE id % 50 = 0",
    "UPDATE fpp_page_views SET route = ? WHERE id % 50 = 1",
    "UPDATE fpp_events SET event = ? WHERE id % 50 = 0",
    *(
        f"UPDATE fpp_users SET {column} = ? WHERE rowid % 12 = 0"
        for column in ("device", "os", "browser", "country", "region", "city")
    ),
)


class World:
    """A database in a folder, the read model made of it, and how both change."""

    def __init__(self, folder: Path, scale: float) -> None:
        self.database = folder / "source.db"
        self.data_dir = folder / "data"
        source.make(self.database, scale)

    def harm(self) -> None:
        """Put HOSTILE wherever people, or their browsers, can put a name."""
        with closing(sqlite3.connect(self.database)) as database, database:
            for statement in _HOSTILE_ROWS:
                database.execute(statement, (HOSTILE,))

    def sync(self) -> None:
        """Mirror the database as it is now."""
        settings = {
            "SOURCE_URL": f"sqlite:///{self.database}",
            "DATA_DIR": str(self.data_dir),
        }
        done = run_updater(settings)
        assert done.returncode == 0, done.stderr

    def add_page_view(self) -> None:
        """Somebody known opens a page now."""
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute(
                "INSERT INTO fpp_page_views SELECT MAX(id) + 1, MAX(user_id), NULL,"
                " 'HOME', NULL, datetime('now') FROM fpp_page_views"
            )

    def busiest_room(self) -> int:
        """The id of the room with the most votes."""
        return source.busiest_room(self.database)


class Server:
    """The API on a port of its own, to be stopped and started."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._port = closed_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def page(self) -> str:
        """The dashboard's address."""
        return f"{self.url}/dashboard"

    def start(self, **settings: str) -> None:
        """With *settings* besides the least there is; returns once it answers."""
        self._settings = settings
        needed = {"DATA_DIR": str(self._data_dir), "ANALYTICS_SECRET_TOKEN": TOKEN}
        command = ["-m", "uvicorn", "main:app", "--port", str(self._port)]
        self._process = preloaded.start(
            command,
            env=environ(needed | settings),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_api(self.url, self._process)

    def ensure(self) -> None:
        """Start it, unless it is up without settings of its own."""
        if self._process is None or self._settings:
            self.stop()
            self.start()

    def stop(self) -> None:
        """Returns once it is gone."""
        if self._process:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
            self._process = None

    def ask(self, path: str, **query: Any) -> httpx.Response:
        """What the API answers to whoever has the token."""
        return httpx.get(
            f"{self.url}{path}",
            params=query,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=START_SECONDS,
        )


def counts(values: Sequence[float]) -> list[str]:
    """Whole numbers as the page writes them in British English."""
    return [f"{value:,.0f}" for value in values]
