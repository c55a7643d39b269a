"""The project's own S3 client: pure protocol rules, a transport of few microseconds, and the operations on top."""

from sketchmigrate.flow.caps import Caps, room_for_connections
from sketchmigrate.flow.limiter import Pressure
from sketchmigrate.s3.client import S3Client
from sketchmigrate.s3.comparison import same_content, tells_tags
from sketchmigrate.s3.config import AddressingStyle, S3Config
from sketchmigrate.s3.credentials import CredentialSource
from sketchmigrate.s3.wire.conditions import IF_ABSENT, R2_IF_ABSENT, Condition, if_source_is, if_target_is
from sketchmigrate.s3.wire.listed import ListedObject, ListedObjects
from sketchmigrate.s3.wire.messages import CopyResult
from sketchmigrate.s3.wire.xml_listings import ListedVersion, ListPage

__all__ = [
    "IF_ABSENT",
    "R2_IF_ABSENT",
    "AddressingStyle",
    "Caps",
    "Condition",
    "CopyResult",
    "CredentialSource",
    "ListPage",
    "ListedObject",
    "ListedObjects",
    "ListedVersion",
    "Pressure",
    "S3Client",
    "S3Config",
    "if_source_is",
    "if_target_is",
    "room_for_connections",
    "same_content",
    "tells_tags",
]
