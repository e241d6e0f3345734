"""The verdicts on messages of Kafka: reached here, and in other processes for a backlog."""

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from datetime import datetime
from typing import Final

from config import Settings
from events.messages import TopicName, judge_messages
from events.rules import EventRules
from events.verdicts import Judge
from readmodel.sync.spool_reader import SpooledEvents, judged_rows
from updater.judge_messages import JudgeRequest
from updater.judge_pool import JudgeLost, JudgePool, process_count
from updater.message_chunks import CHUNK_MESSAGES, MessageChunk
from util.garbage import collection_paused
from util.logs import get_logger

BACKLOG_MESSAGES: Final = 200_000
"""So many that wait are read by several processes: they take some four seconds."""

PAUSE_SECONDS: Final = 60.0
"""After processes have failed again and again, until others are tried."""

LOOK_SECONDS: Final = 0.1
"""How long a wait for a process lasts, so that a stop request is noticed."""

_log = get_logger("kafka")


class MessageJudging:
    """Judges chunks, in the order in which they are asked for."""

    def __init__(self, settings: Settings, check: Callable[[], None]) -> None:
        """*check* is called while a process is waited for. Raises SettingsError."""
        self._rules = EventRules.of(settings)
        self._judge = Judge.by(self._rules)
        self._check = check
        self._pool: JudgePool | None = None
        self._try_at = 0.0

    def hand_out(
        self, chunk: MessageChunk, topic: TopicName, lag: int, now: datetime
    ) -> None:
        """Give *chunk* to another process if there is a backlog of *lag* messages."""
        pool = self._pool_for(lag)
        if pool is not None:
            chunk.received_at = now
            chunk.answer = pool.submit(JudgeRequest(topic, now, chunk.messages))

    def _pool_for(self, lag: int) -> JudgePool | None:
        """The processes, if they are worth it; started for a backlog that is long."""
        pool = self._pool
        if pool is not None and pool.is_broken:
            self.close()
            self._try_at = time.monotonic() + PAUSE_SECONDS
        elif pool is not None and pool.is_running:
            return pool if lag >= CHUNK_MESSAGES else None
        if lag < BACKLOG_MESSAGES or time.monotonic() < self._try_at:
            return None
        if self._pool is None and (count := process_count()):
            self._pool = JudgePool(self._rules, count)
        if self._pool is not None:
            _log.info(f"{lag:,} messages wait: other processes judge them", lag=lag)
        return self._pool

    def rows(
        self, chunk: MessageChunk, topic: TopicName, now: datetime
    ) -> SpooledEvents:
        """The verdicts on *chunk*: those of another process, or reached here at *now*."""
        if chunk.answer is not None:
            try:
                return self._wait(chunk.answer)
            except (JudgeLost, CancelledError):
                pass  # The first one was logged.
        with collection_paused():
            return judged_rows(
                judge_messages(
                    self._judge, chunk.messages, topic, chunk.received_at or now
                )
            )

    def _wait(self, answer: Future[SpooledEvents]) -> SpooledEvents:
        while True:
            try:
                return answer.result(LOOK_SECONDS)
            except TimeoutError:
                self._check()

    def close(self) -> None:
        """End all other processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
