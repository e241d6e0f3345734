"""Named errors, each a sentence a person can act on; mapped to answers in one place."""


class FppError(Exception):
    """Base of every error that this program raises on purpose."""


class SettingsError(FppError):
    """A setting is missing or malformed; the message names the variable."""


class ReadModelMissing(FppError):
    """No complete read model is there yet: nothing was synced, or a table is gone."""


class SyncError(FppError):
    """A sync could not finish; the last snapshot stays as it was."""


class SourceError(SyncError):
    """The source database refused, vanished, or lacks what is needed."""


class StorageError(SyncError):
    """DATA_DIR cannot be written, or what it holds cannot be used."""


class SyncRunning(SyncError):
    """Another updater holds the lock of this DATA_DIR."""


class Stopped(BaseException):
    """The run was asked to stop (SIGTERM, Ctrl-C) before it published.

    Like KeyboardInterrupt it is no Exception, so that nothing on its way, a log handler
    or a driver, takes it for a failure of its own and goes on.
    """


class DeliveryError(FppError):
    """The e-mail service did not take the daily figures."""
