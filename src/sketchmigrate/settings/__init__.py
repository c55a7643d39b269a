"""The site's settings: ``lib/config.py`` or TOML, the environment and flags, joined into one frozen ``Settings``.

No secret is among them. The database's user and password (``SKETCH_DB_USER``, ``SKETCH_DB_PASS``) and the S3 keys
(``AWS_ACCESS_KEY_ID`` and so on) are read from the environment by the layers that connect, at the moment they connect.

What ``-h`` needs is here. ``loading`` reads them, and ``values`` has their types.
"""

from sketchmigrate.settings.schema import (
    LOCAL_CLUSTER,
    LOG_FORMATS,
    MAX_PORT,
    NO_CLOBBER,
    TRANSFERS,
    Options,
    SettingField,
    Settings,
    effective,
    other_than_default,
    setting_fields,
)

__all__ = [
    "LOCAL_CLUSTER",
    "LOG_FORMATS",
    "MAX_PORT",
    "NO_CLOBBER",
    "TRANSFERS",
    "Options",
    "SettingField",
    "Settings",
    "effective",
    "other_than_default",
    "setting_fields",
]
