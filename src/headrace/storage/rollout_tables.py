"""The tables of rollouts: a row for each, and what they count, remember and judge."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, UniqueConstraint

from headrace.storage.database import metadata

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("pipeline", String(200), nullable=False),
    # The pipeline while the rollout runs, else null: of each pipeline one may run, and nulls are not compared.
    Column("running", String(200)),
    Column("revision", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("champion_manifest", LargeBinary, nullable=False),
    Column("candidate_manifest", LargeBinary, nullable=False),
    Column("is_settled", Boolean, nullable=False),
    # How far the news of decisions were read, by whichever process; they are counted in the same transaction.
    Column("news_cursor", String(200), nullable=False),
    UniqueConstraint("running", name="one_running_rollout"),
    Index("rollouts_by_pipeline", "pipeline", "id"),
)
serving_releases = Table(
    "serving_releases",
    metadata,
    Column("pipeline", String(200), primary_key=True),
    Column("manifest", LargeBinary, nullable=False),
)
rollout_keys = Table(
    "rollout_keys",
    metadata,
    Column("rollout_id", String(64), primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("what", String(120), primary_key=True),
    Column("share", Float, nullable=False),
)
rollout_exposures = Table(
    "rollout_exposures",
    metadata,
    Column("decision_id", String(64), primary_key=True),
    Column("rollout_id", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("exposures_by_rollout", "rollout_id"),
)
rollout_counts = Table(
    "rollout_counts",
    metadata,
    Column("rollout_id", String(64), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("guard", String(120), primary_key=True),
    Column("step", Integer, primary_key=True),
    # As text: a share has to come back as the very same number.
    Column("share", String(32), primary_key=True),
    Column("candidate", Integer, nullable=False),
    Column("champion", Integer, nullable=False),
    Column("bad_candidate", Integer, nullable=False),
    Column("bad_champion", Integer, nullable=False),
)
rollout_tallies = Table(
    "rollout_tallies",
    metadata,
    Column("rollout_id", String(64), primary_key=True),
    Column("variant", String(80), primary_key=True),
    Column("name", String(120), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("total", Float, nullable=False),
    Column("squares", Float, nullable=False),
)
rollout_judgements = Table(
    "rollout_judgements",
    metadata,
    Column("rollout_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("verdict", String(40), nullable=False),
    Column("body", LargeBinary, nullable=False),
)
