"""The site's settings: ``lib/config.py`` or TOML, the environment and flags, joined into one frozen ``Settings``.

No secret is among them. The database's user and password (``SKETCH_DB_USER``, ``SKETCH_DB_PASS``) and the S3 keys
(``AWS_ACCESS_KEY_ID`` and so on) are read from the environment by the layers that connect, at the moment they connect.
"""

from sketchmigrate.settings.files import ValueOrigin
from sketchmigrate.settings.loading import Loaded, load, load_settings
from sketchmigrate.settings.schema import (
    LOCAL_CLUSTER,
    LOG_FORMATS,
    NO_CLOBBER,
    TRANSFERS,
    Options,
    SettingField,
    Settings,
    effective,
    other_than_default,
    setting_fields,
)
from sketchmigrate.settings.values import MAX_PORT, headers_of, table_name

__all__ = [
    "LOCAL_CLUSTER",
    "LOG_FORMATS",
    "MAX_PORT",
    "NO_CLOBBER",
    "TRANSFERS",
    "Loaded",
    "Options",
    "SettingField",
    "Settings",
    "ValueOrigin",
    "effective",
    "headers_of",
    "load",
    "load_settings",
    "other_than_default",
    "setting_fields",
    "table_name",
]
