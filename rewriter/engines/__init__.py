"""Where passages are rewritten, if not by calls from this process: many machines, a provider's batch interface."""

from __future__ import annotations

from rewriter.api import Rewriter


async def open_engine(rewriter: Rewriter) -> None:
    """Give the rewriter the place that its settings name. Raises UsageError where that cannot be had."""
    if rewriter.settings.engine == "ray":
        from rewriter.engines.ray import RayPlace

        place = RayPlace(rewriter)
        rewriter.place = place
        await place.start()
