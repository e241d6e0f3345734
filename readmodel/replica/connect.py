"""The storage that REPLICA_URL names."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from readmodel.replica.storage import ObjectStorage


def open_storage(url: str) -> ObjectStorage:
    """The storage at *url*, a value of REPLICA_URL.

    Raises SettingsError if a package is missing, or the storage is not configured.
    """
    if urlsplit(url).scheme == "file":
        from readmodel.replica.folder import FolderStorage

        return FolderStorage(Path(url2pathname(urlsplit(url).path)))
    from readmodel.replica.bucket import BucketStorage

    return BucketStorage(url)
