"""Where passages are rewritten, if not by calls from this process: many machines, a provider's batch interface."""

from __future__ import annotations

from rewriter.api import Rewriter
from rewriter.run import Rounds


async def open_engine(rewriter: Rewriter) -> Rounds | None:
    """Give the rewriter the engine that its settings name, and the run its rounds, if it goes in rounds.

    Raises UsageError where that cannot be had.
    """
    if rewriter.settings.engine == "ray":
        from rewriter.engines.ray import RayPlace

        place = RayPlace(rewriter)
        rewriter.place = place
        await place.start()
    elif rewriter.settings.engine == "provider-batch":
        from rewriter.engines.batch import BatchEngine

        engine = BatchEngine(rewriter)
        rewriter.asker = engine
        return engine
    return None
