"""The entries of MOVES, URLS and REFERENCES: what each may say, as far as it can be judged by itself. Pure.

Of a value that cannot be, pydantic's error names the field; of two that cannot be together, the text does.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sketchmigrate.core.mapping import MAX_KEY_BYTES
from sketchmigrate.core.objects import Location
from sketchmigrate.core.routes import Route
from sketchmigrate.core.shapes.json_paths import parse_path
from sketchmigrate.core.urls import check_template
from sketchmigrate.settings import values

_place = re.compile(r"s3://([^/]+)(?:/(.*))?").fullmatch


def _s3_url(text: object) -> Location:
    found = _place(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} must be s3://bucket/prefix")
    prefix = found[2] or ""
    if prefix and prefix[-1].isalnum():
        raise ValueError(f"{prefix!r} must end with a slash, or it would match {prefix + '-other/...'!r} as well")
    if len(prefix.encode()) >= MAX_KEY_BYTES or not prefix.isprintable():
        raise ValueError("it is too long for the beginning of a key, or holds a character that cannot be seen")
    return Location(values.bucket_name(found[1]), prefix)


def _template(text: str) -> str:
    if text:
        check_template(text)
    return text


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    return names


def _column(text: str) -> str:
    return values.identifier(text) if text else text


def _path(text: str) -> str:
    parse_path(text)
    return text


def _literals(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError('it must be columns and their values, as in { storage = "production" }')  # noqa: TRY004 - pydantic
    for column, each in value.items():
        if not isinstance(each, str | int | float) or each != each:  # noqa: PLR0124 - a NaN
            raise ValueError(f"the value of {column!r} must be text, a number, true or false")
    return value


def _one_statement(text: str) -> str:
    if "\0" in text:
        raise ValueError("SQL holds no NUL")
    if text and not text.strip():
        raise ValueError("it must not be blank")
    return text


_Place: TypeAlias = Annotated[Location, BeforeValidator(_s3_url)]
_Template: TypeAlias = Annotated[values.Text, AfterValidator(_template)]
_Columns: TypeAlias = Annotated[tuple[values.Column, ...], BeforeValidator(_one_or_several), AfterValidator(_different)]
_Names: TypeAlias = Annotated[tuple[values.Filled, ...], BeforeValidator(_one_or_several), AfterValidator(_different)]
_Paths: TypeAlias = Annotated[
    tuple[Annotated[values.Filled, AfterValidator(_path)], ...],
    BeforeValidator(_one_or_several),
    AfterValidator(_different),
]
_Sql: TypeAlias = Annotated[str, AfterValidator(_one_statement)]
_Literals: TypeAlias = Annotated[dict[values.Column, Any], BeforeValidator(_literals)]


class _Entry(BaseModel):
    """Frozen, and without a place for what is misspelt; ``settings.lists`` names the nearest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=False)


class MoveEntry(_Entry):
    """Keys with one prefix in one bucket, and where they go."""

    legacy: _Place
    production: _Place
    name: values.Text = ""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        old, new = self.legacy.key, self.production.key
        if old and new and old.endswith("/") != new.endswith("/"):
            raise ValueError(f"{old!r} and {new!r}: both prefixes must end with a slash, or neither")
        return self

    @property
    def route(self) -> Route:
        """The entry as all that maps keys has it."""
        return Route(*self.legacy, *self.production, self.name)


class UrlEntry(_Entry):
    """How the keys of a legacy bucket are written as URLs, and how those of production."""

    legacy: Annotated[values.Filled, AfterValidator(_template)]
    production: Annotated[values.Filled, AfterValidator(_template)]
    bucket: values.Text = ""


class ReferenceEntry(_Entry):
    """Where the references of one source are. ``name`` is ``table.column`` unless it is said."""

    name: values.Text = ""
    table: values.Table
    key: _Columns = ()
    column: Annotated[values.Text, AfterValidator(_column)] = ""
    shape: Literal["key", "url", "json", "array", "text", "expression"]
    paths: _Paths = ()
    value: Literal["", "key", "url"] = ""
    expression: _Sql = ""
    where: _Sql = ""
    reads: _Columns = ()
    set: _Literals = Field(default_factory=dict)
    also_move: _Sql = ""
    partial: values.YesOrNo = False
    moves: _Names = ()
    s3_urls: _Template = ""

    @property
    def title(self) -> str:
        """The name of the source."""
        return self.name or f"{self.table}.{self.column or self.shape}"

    @property
    def holds_urls(self) -> bool:
        """Whether references are written as URLs (a text may hold keys beside them)."""
        return self.shape in {"url", "text"} or self.value == "url"

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for fault, text in (
            (self.shape != "expression" and not self.column, "column: it must be there"),
            (self.shape == "expression" and not self.expression, "expression: it must be there, in place of column"),
            (self.shape == "expression" and bool(self.column), "column and expression: only one of them may be there"),
            (self.shape != "expression" and bool(self.expression), f"expression: shape {self.shape!r} has none"),
            (self.shape == "json" and not self.paths, 'paths: they must be there, as in ["$.file.id"]'),
            (self.shape != "json" and bool(self.paths), f"paths: only shape 'json' has them, not {self.shape!r}"),
            (
                bool(self.value) and self.shape not in {"json", "array", "text"},
                f"value: shape {self.shape!r} says it already",
            ),
            (bool(self.s3_urls) and not self.holds_urls, "s3_urls: this source holds keys and no URLs"),
            (
                self.shape == "expression" and not self.set,
                "expression: needs set, as nothing else would tell which rows are done",
            ),
            (
                self.shape == "expression" and not self.where,
                "expression: needs where, which says what rows are legacy, and is false after set",
            ),
            (
                bool(self.reads) and not (self.where or self.also_move or self.expression),
                "reads: it names the columns that SQL reads, and there is none",
            ),
            (
                self.partial and bool(self.set) and bool(self.where),
                "partial: where and set say where all objects of a row are, so a part of it cannot be moved",
            ),
            (
                self.column in self.key and len(self.key) > 1,
                f"key: {self.column!r} is what changes, so it can be the key only by itself",
            ),
        ):
            if fault:
                raise ValueError(text)
        both = next((name for name in self.set if name == self.column or name in self.key), None)
        if both is not None:
            raise ValueError(f"set: {both!r} is the column or part of the key, which has a place of its own")
        return self
