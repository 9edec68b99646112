"""What is seen of every answer, whatever its pipeline: how sure, how long, how fast, and what its author adds."""

from __future__ import annotations

from headrace.domain.observation import Observation
from headrace.serving.answered import Answered
from headrace.serving.door import codes_of

_NOTHING = Observation()


def observation_of(answered: Answered) -> Observation:
    """The author's observation, where there is one, with what is seen of every decision."""
    decision, context = answered.decision, answered.context
    own = answered.value.observation() if hasattr(answered.value, "observation") else _NOTHING
    numbers = {"duration_ms": decision.duration_ms}
    if decision.confidence is not None:
        numbers["confidence"] = decision.confidence
    if decision.text is not None:
        numbers["characters"] = float(len(decision.text))
    # Only where a language model had a part: a number that is always 0 would be one more stream to test.
    if any(step.prompt_tokens or step.completion_tokens for step in decision.steps):
        numbers["prompt_tokens"] = float(sum(step.prompt_tokens for step in decision.steps))
        numbers["completion_tokens"] = float(sum(step.completion_tokens for step in decision.steps))
    degraded = decision.degraded[0] if decision.degraded else None
    # All fields by name: `replace` would look each of them up first, for every decision.
    return Observation(
        numbers={**numbers, **own.numbers},
        categories={
            "degraded": "no" if degraded is None else f"{degraded.service}: {degraded.reason}",
            **own.categories,
        },
        tags={"variant": decision.variant, **own.tags, **context.tags},
        contributions=own.contributions,
        embedding=own.embedding,
        findings=(*codes_of(answered.quality), *own.findings),
    )
