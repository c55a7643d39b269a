"""How to reach a store: the settings of the S3 client, without a secret among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sketchmigrate.flow.caps import Caps
from sketchmigrate.s3.wire.proxy import Proxies

AddressingStyle: TypeAlias = Literal["auto", "path", "virtual"]
KeepTags: TypeAlias = Literal["if-allowed", "required", "no"]


@dataclass(frozen=True, slots=True)
class Keep:
    """What new objects get of the objects that they are made of, besides bytes, content headers and user metadata.

    ``tags``: where the rights and the store allow it, or without them none is made, or not at all. ``acl``: the grants
    to others than the owner. ``storage_class``: but no archive. ``mtime``: when it was last modified, as the user
    metadata ``mtime``, in which rclone and others keep it.
    """

    tags: KeepTags = "if-allowed"
    acl: bool = False
    storage_class: bool = False
    mtime: bool = False


@dataclass(frozen=True, slots=True)
class S3Config:
    """Where the store is and how patiently to talk to it.

    ``endpoint_url`` is ``http(s)://host[:port][/path]``, or empty for AWS. ``timeout_seconds`` bounds the making of a
    connection, and the silence on one while a reply is due; ``bounds`` says what follows for the whole of a reply.
    ``caps`` bound what the congestion control finds. ``retry_seconds`` is for how long a request may keep failing
    before it is given up. ``copy_limit_bytes`` is the size above which a refused CopyObject is one of size, whatever is
    said, and made of parts of ``part_size_bytes``; its default is the limit in the S3 User Guide ("Copying objects").
    ``new_object_headers``, their names in lower case, are sent with all that makes an object, and ``keep`` is what they
    keep of those that they are made of. ``proxies`` are those of this machine's environment. ``called`` is how messages
    call the store where there is another one, and ``own_settings`` are the names of settings that hold for this store
    alone, in place of those that hints name.
    """

    endpoint_url: str = ""
    region: str = "us-east-1"
    addressing_style: AddressingStyle = "auto"
    ca_bundle: str = ""
    requester_pays: bool = False
    caps: Caps = field(default_factory=Caps)
    proxies: Proxies = field(default_factory=Proxies)
    timeout_seconds: float = 60
    retry_seconds: float = 300
    copy_limit_bytes: int = 5 * 2**30
    part_size_bytes: int = 256 * 2**20
    new_object_headers: tuple[tuple[str, str], ...] = ()
    keep: Keep = field(default_factory=Keep)
    called: str = ""
    own_settings: tuple[tuple[str, str], ...] = ()

    def name_of(self, setting: str) -> str:
        """Return how messages call a setting of this store."""
        return dict(self.own_settings).get(setting, setting)
