"""Plans made per second: reconcile() on slots of several kinds, one of them with a long log behind it."""

import time
from functools import partial

from bench import scenes
from bench.figure import Figure, Progress, Size, in_turns
from bench.scenes import Scene
from controller.core.reconcile import reconcile


def measure(size: Size, progress: Progress) -> list[Figure]:
    kinds = scenes.scenes(size.tool_calls)
    progress(f"{len(kinds)} kinds of slots, {size.plans} plans each")
    taken = in_turns(size.rounds, *(partial(_microseconds, scene, size.plans) for scene in kinds))
    shares = sum(scene.share for scene in kinds)
    mean = sum(each * scene.share for each, scene in zip(taken, kinds, strict=True)) / shares
    mix = {scene.name: float(scene.share) for scene in kinds}
    each = [
        Figure(f"plan: {scene.name}", took, "µs", more_is_better=False)
        for scene, took in zip(kinds, taken, strict=True)
    ]
    return [Figure("plans", 1e6 / mean, "plans/s", details=mix), *each]


def _microseconds(scene: Scene, plans: int) -> float:
    began = time.process_time()
    for _ in range(plans):
        reconcile(scene.seen, scene.now, scenes.POLICY)
    return (time.process_time() - began) / plans * 1e6
