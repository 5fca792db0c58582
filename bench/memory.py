"""What a tracked run occupies: Job and Pod as they are kept, with all tables, measured in fresh processes."""

from bench import processes
from bench.figure import Figure, Progress, Size

KIB = 1024
AIM = 6.0


def measure(size: Size, progress: Progress) -> list[Figure]:
    progress(f"{size.tracked} runs kept, for kr8s {size.peer_tracked}: bytes a run")
    with (  # side by side: what a process occupies does not depend on how fast it is
        processes.started("bench.tracked", "ours", "rss", str(size.tracked)) as by_system,
        processes.started("bench.tracked", "ours", "traced", str(size.tracked)) as by_python,
        processes.started("bench.tracked", "kr8s", "rss", str(size.peer_tracked)) as peers,
    ):
        grown, traced, theirs = (processes.said(lines) for lines in (by_system, by_python, peers))
    return [
        Figure(
            "memory of a tracked run",
            grown["kept"] / KIB,
            "KiB",
            theirs["kept"] / KIB,
            "kr8s objects in a dict",
            more_is_better=False,
            aim=AIM,
            details={
                "allocated_kib": traced["kept"] / KIB,
                "with_timer_kib": grown["timed"] / KIB,
                "runs": size.tracked,
                "peer_runs": size.peer_tracked,
            },
        )
    ]
