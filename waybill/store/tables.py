"""The tables we read with SQL: MLMD's own (as its schema version 10 lays them out), and the one we add.

MLMD 1.21 answers no `filter_query`, so every question is asked of these tables directly; MLMD's own library writes them. Their names
stay unquoted because PostgreSQL folds unquoted names to lower case, which is how MLMD made them there.
"""

from __future__ import annotations

import sqlalchemy as sa

mlmd = sa.MetaData()

execution = sa.Table(
    "Execution",
    mlmd,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("type_id", sa.Integer),
    sa.Column("last_known_state", sa.Integer),
    sa.Column("name", sa.String),
    sa.Column("create_time_since_epoch", sa.BigInteger),
    sa.Column("last_update_time_since_epoch", sa.BigInteger),
    quote=False,
)
artifact = sa.Table(
    "Artifact",
    mlmd,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("type_id", sa.Integer),
    sa.Column("uri", sa.String),
    sa.Column("state", sa.Integer),
    quote=False,
)
context = sa.Table(
    "Context",
    mlmd,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("type_id", sa.Integer),
    sa.Column("name", sa.String),
    quote=False,
)
association = sa.Table(
    "Association",
    mlmd,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("context_id", sa.Integer),
    sa.Column("execution_id", sa.Integer),
    quote=False,
)
event = sa.Table(
    "Event",
    mlmd,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("artifact_id", sa.Integer),
    sa.Column("execution_id", sa.Integer),
    sa.Column("type", sa.Integer),
    sa.Column("milliseconds_since_epoch", sa.BigInteger),
    quote=False,
)
event_path = sa.Table(
    "EventPath",
    mlmd,
    sa.Column("event_id", sa.Integer),
    sa.Column("is_index_step", sa.Boolean),
    sa.Column("step_index", sa.Integer),
    sa.Column("step_key", sa.String),
    quote=False,
)
type_ = sa.Table(
    "Type",
    mlmd,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String),
    sa.Column("type_kind", sa.Integer),
    quote=False,
)


def _property_table(name: str, owner: str) -> sa.Table:
    return sa.Table(
        name,
        mlmd,
        sa.Column(owner, sa.Integer),
        sa.Column("name", sa.String),
        sa.Column("is_custom_property", sa.Boolean),
        sa.Column("int_value", sa.BigInteger),  # PostgreSQL is told the type of what it is given, and a version does not fit 32 bits
        sa.Column("double_value", sa.Float),
        sa.Column("string_value", sa.Text),
        sa.Column("bool_value", sa.Boolean),
        quote=False,
    )


artifact_property = _property_table("ArtifactProperty", "artifact_id")
execution_property = _property_table("ExecutionProperty", "execution_id")
context_property = _property_table("ContextProperty", "context_id")

ours = sa.MetaData()

# One row per generation of an interval. It only hands out numbers; what a generation did is in MLMD.
generation = sa.Table(
    "waybill_generation",
    ours,
    sa.Column("pipeline", sa.String(200), primary_key=True),
    sa.Column("span", sa.BigInteger, primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True),
    sa.Column("ticket", sa.String(200), nullable=False),
    sa.Column("root", sa.String(80)),  # digest of the first spec of a chain of derived ones
    sa.Column("spec", sa.String(80)),  # digest of this generation's spec; NULL until it is frozen
    sa.UniqueConstraint("pipeline", "span", "ticket"),
)
