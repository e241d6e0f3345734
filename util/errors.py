"""Named errors, each a sentence a person can act on; mapped to answers in one place."""


class FppError(Exception):
    """Base class of every error that this program raises on purpose."""


class SettingsError(FppError):
    """A setting is missing or malformed; the message names the variable."""


class ReadModelMissing(FppError):
    """There is no complete read model: nothing was synced yet, or a table is missing."""


class ReadModelDamaged(ReadModelMissing):
    """A file of the read model is not what its manifest says; names the file."""


class Overloaded(FppError):
    """The program has too much to do; a later request may succeed."""


class SnapshotNotKept(FppError):
    """There is no snapshot of the instant that was asked for, or no longer."""


class SyncError(FppError):
    """A sync failed; the last snapshot stays as it was."""


class SourceError(SyncError):
    """The source database refused, vanished, or lacks what is needed."""


class StreamError(FppError):
    """A Kafka topic cannot be read; what was read before stays as it was."""


class SpoolError(FppError):
    """A spool cannot be read or emptied; what a collector acknowledged is still there."""


class StorageError(SyncError):
    """DATA_DIR cannot be written, or its content cannot be used."""


class SyncRunning(SyncError):
    """Another updater holds the lock of this DATA_DIR."""


class ReplicaError(FppError):
    """A replica cannot be written or read; DATA_DIR and the replica stay as they were."""


class ObjectMissing(ReplicaError):
    """An object that should be in the storage is not there."""


class ReplicaDamaged(ReplicaError):
    """An object in the storage is not what its name says."""


class ReplicaBusy(ReplicaError):
    """Another process transfers snapshots of this DATA_DIR."""


class ReplicaConflict(ReplicaError):
    """The replica, or DATA_DIR, has snapshots that did not come from the other one."""


class ClusterError(FppError):
    """A cluster did not compute an answer, for the `reason`; it is computed here then."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)  # as `args`, by which it is pickled
        self.reason = reason

    def __str__(self) -> str:
        """The message."""
        return str(self.args[1])


class Stopped(BaseException):
    """A stop was requested (SIGTERM, Ctrl-C) before the run published a snapshot.

    Not an Exception, like KeyboardInterrupt: otherwise a log handler or a driver would
    treat it as a failure of its own and continue.
    """


class DeliveryError(FppError):
    """The e-mail service did not accept the daily figures, or nobody knows if it did."""


class DeliveryRefused(DeliveryError):
    """The e-mail service answered with an error."""


class NotDelivered(DeliveryError):
    """The e-mail service certainly received nothing: there was no connection to it."""
