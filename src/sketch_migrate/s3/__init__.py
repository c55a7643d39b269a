"""The project's own S3 client: pure protocol rules, a transport of few microseconds, and the operations on top."""

from sketch_migrate.s3.client import CopyResult, S3Client
from sketch_migrate.s3.comparison import same_content
from sketch_migrate.s3.config import AddressingStyle, S3Config
from sketch_migrate.s3.credentials import CredentialSource
from sketch_migrate.s3.xml import ListedObject, ListPage

__all__ = [
    "AddressingStyle",
    "CopyResult",
    "CredentialSource",
    "ListPage",
    "ListedObject",
    "S3Client",
    "S3Config",
    "same_content",
]
