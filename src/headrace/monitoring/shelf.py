"""SketchShelf: sketches of segments that change seldom, packed into a tenth of the memory that they need at work."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.monitoring.window import WindowSketch


class SketchShelf:
    """Sketches by segment, as MessagePack; each look at one unpacks it, and what is done to that one is not kept."""

    def __init__(self, sketches: Mapping[str, WindowSketch] | None = None) -> None:
        self._packed: dict[str, bytes] = {}
        for segment, sketch in (sketches or {}).items():
            self.put(segment, sketch)

    def __contains__(self, segment: str) -> bool:
        return segment in self._packed

    def __len__(self) -> int:
        return len(self._packed)

    def put(self, segment: str, sketch: WindowSketch) -> None:
        """Packs the sketch as it is now, in place of what was there."""
        self._packed[segment] = msgspec.msgpack.encode(sketch)

    def get(self, segment: str) -> WindowSketch | None:
        """A sketch of one's own."""
        packed = self._packed.get(segment)
        return None if packed is None else msgspec.msgpack.decode(packed, type=WindowSketch)

    def packed(self) -> dict[str, msgspec.Raw]:
        """All of them, to be stored as if they had never been packed."""
        return {segment: msgspec.Raw(content) for segment, content in self._packed.items()}


def unpacked(packed: Mapping[str, msgspec.Raw]) -> dict[str, WindowSketch]:
    """The sketches of a shelf that was stored."""
    decoder = msgspec.msgpack.Decoder(WindowSketch)
    return {segment: decoder.decode(content) for segment, content in packed.items()}
