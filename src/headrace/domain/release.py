"""Release: one immutable version of a whole pipeline, named by the digest of its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Release:
    """What decides about answers: the code's version, the digests of all models, and the services' settings."""

    pipeline: str
    code: str
    models: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`sha256:` and the digest of the manifest in its canonical form (RFC 8785: sorted keys, no spaces)."""
        manifest = {
            "pipeline": self.pipeline,
            "code": self.code,
            "models": dict(self.models),
            "settings": dict(self.settings),
        }
        canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
