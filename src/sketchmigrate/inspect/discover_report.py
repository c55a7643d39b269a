"""What discovery found, as text for a person, as values for JSON, and as entries of REFERENCES to paste. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sketchmigrate.core.plural import counted
from sketchmigrate.inspect.mention_shapes import Form
from sketchmigrate.report.text import printable
from sketchmigrate.settings.writing import comment, reference_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sketchmigrate.inspect.discover import Discovery, FoundColumn, OtherColumn

_SHOWN = 20
"""So many of a kind are listed for a person; all of them are in the JSON document."""


def discovery_text(found: Discovery) -> str:
    """Say what mentions legacy, and what was not looked at."""
    how = "in full" if found.is_full else "by samples"
    schemas = ", ".join(map(printable, found.schemas))
    tables = f"{found.tables:,} table{'s' * (found.tables != 1)} with text"
    lines = [f"Looked {how} at {tables}, of {schemas or 'no schema'}: {_rows(found.rows, is_counted=True)}.", ""]
    if found.columns:
        lines.append("Columns with legacy references")
        for column in found.columns:
            lines += _about_column(column)
    else:
        lines.append("No column that was read mentions legacy.")
    for title, told in (
        ("Columns that mention legacy in a way that no entry reads", map(_about_other, found.naming)),
        ("Media types, which begin as legacy keys do and are taken for none", map(_about_other, found.media_types)),
        ("Values too long to be read", map(_about_other, found.too_long)),
        ("Not read, for lack of the right to SELECT", (f"{table}.{column}" for table, column in found.unreadable)),
        ("Read as far as row-level security shows rows", found.hidden),
        ("Not looked at", (f"{each.table}: {each.why}" for each in found.not_looked_at)),
        (
            "Not looked at, as nothing of it can be migrated",
            (f"{'.'.join((*each.table, *filter(None, [each.column])))}: {each.why}" for each in found.not_migrated),
        ),
        ("Moves whose keys cannot be told from other text, as they have no prefix", found.empty_prefixes),
    ):
        lines += _listed(title, told)
    if not found.is_complete:
        lines += ["", "So it is not the whole: what was not read may mention legacy as well."]
    return "\n".join(lines)


def _about_column(column: FoundColumn) -> list[str]:
    forms = [f"{form} in {count:,}" for form, count in column.forms.items()]
    shape = ", ".join(forms) if len(forms) > 1 else str(next(iter(column.forms)))
    paths = [f"at {', '.join(entry.paths)}" for entry in column.entries if entry.paths]
    bearing = [
        f"key {', '.join(column.key)}" if column.key else "no key",
        f"indexes {', '.join(column.indexes)}" if column.indexes else "no index",
        f"triggers {', '.join(column.triggers)}" if column.triggers else "no trigger",
    ]
    rows = _rows(column.rows, is_counted=column.is_counted)
    lines = [
        f"  {column.table}.{column.column} ({column.type_name}): {rows}, {' '.join([shape, *paths])}",
        *(f"      {example}" for example in column.examples),
        f"      {'; '.join(bearing)}",
    ]
    if column.is_covered:
        lines.append(f"      in the source {', '.join(column.covered_by)}")
    elif column.covered_by:
        left = column.rows - column.covered_rows
        lines.append(f"      in the source {', '.join(column.covered_by)}, but for {counted(left, 'row')}")
    if column.unmovable_rows:
        many = counted(column.unmovable_rows, "row has", "rows have")
        lines.append(f"      {many} a reference that cannot be moved as it is")
    if column.left_rows:
        many = counted(column.left_rows, "row holds", "rows hold")
        lines.append(f"      {many} it in a way that the entry below does not read")
    if column.why_no_entry:
        lines.append(f"      no entry: {column.why_no_entry}")
    return [printable(line) for line in lines]


def _about_other(column: OtherColumn) -> str:
    examples = f", such as {column.examples[0]}" if column.examples else ""
    return f"{column.table}.{column.column}: {_rows(column.rows, is_counted=column.is_counted)}{examples}"


def _rows(rows: int, *, is_counted: bool) -> str:
    return counted(rows, "row") if is_counted else f"about {rows:,} rows"


def _listed(title: str, told: Iterable[str]) -> list[str]:
    all_of_it = [f"  {printable(each)}" for each in told]
    if not all_of_it:
        return []
    more = [f"  and {len(all_of_it) - _SHOWN:,} more, which --json lists"] if len(all_of_it) > _SHOWN else []
    return ["", title, *all_of_it[:_SHOWN], *more]


def references_toml(columns: Sequence[FoundColumn]) -> str:
    """Return the entries that cover these columns, ready to paste; empty where there is none."""
    parts: list[str] = []
    for column in columns:
        about = [f"{_rows(column.rows, is_counted=column.is_counted)}: {', '.join(column.forms)}"]
        if column.covered_by and not column.is_covered:
            about.append(f"in place of the source {', '.join(column.covered_by)}")
        if column.why_no_entry:
            about.append(f"{column.table}.{column.column} has no entry: {column.why_no_entry}")
        first, *others = [*map(reference_toml, column.entries), ""]
        parts += ["\n".join([*comment("; ".join(about)), first]).rstrip(), *filter(None, others)]
    return "\n\n".join(parts)


def to_paste(found: Discovery, *, has_references: bool) -> tuple[FoundColumn, ...]:
    """Return the columns whose entries are to be pasted: beside REFERENCES that there are, or as all of them.

    With any entry the classic settings of the table are not used: so that table needs one as well then.
    """
    missing = found.columns_not_covered
    return missing if has_references or not missing else found.columns


def discovery_json(found: Discovery, pasted: str) -> dict[str, object]:
    """Return the same for ``--json``; ``pasted`` are the entries as TOML."""

    def of_columns(columns: Iterable[FoundColumn]) -> list[dict[str, object]]:
        return [
            {
                **{name: value for name, value in asdict(column).items() if name not in {"forms", "entries"}},
                "forms": {form.name.lower(): column.forms[form] for form in Form if form in column.forms},
                "is_covered": column.is_covered,
                "entries": [entry.model_dump(exclude_defaults=True) for entry in column.entries],
            }
            for column in columns
        ]

    return {
        "kind": "discovery",
        "full": found.is_full,
        "complete": found.is_complete,
        "schemas": list(found.schemas),
        "tables": found.tables,
        "rows": found.rows,
        "columns": of_columns(found.columns),
        "not_covered": [f"{column.table}.{column.column}" for column in found.columns_not_covered],
        "naming": [asdict(each) for each in found.naming],
        "media_types": [asdict(each) for each in found.media_types],
        "too_long": [asdict(each) for each in found.too_long],
        "unreadable": [{"table": table, "column": column} for table, column in found.unreadable],
        "hidden": list(found.hidden),
        "not_looked_at": [asdict(each) for each in found.not_looked_at],
        "not_migrated": [
            {"table": ".".join(each.table), "column": each.column, "why": each.why} for each in found.not_migrated
        ],
        "empty_prefixes": list(found.empty_prefixes),
        "references": pasted,
    }
