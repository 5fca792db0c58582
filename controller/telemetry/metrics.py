"""All metrics of the controller, in a registry of its own. What there is to count is in `numbers`.

Series of known words are primed: they exist before their first event. Open labels are bounded by
`labels.Words`; ids of runs, agents or Jobs are never labels. Nothing is read from anywhere.
"""

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from controller.telemetry.families import Families
from controller.telemetry.numbers.agents import AgentNumbers
from controller.telemetry.numbers.cluster import ClusterNumbers, LogNumbers
from controller.telemetry.numbers.exports import ExportNumbers
from controller.telemetry.numbers.runs import RunNumbers
from controller.telemetry.numbers.work import WorkNumbers


class Metrics:
    """All metrics, by subject. One instance a process; tests make their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it unannotated
        self.registry = CollectorRegistry()
        self.families = Families(self.registry)
        self.runs = RunNumbers(self.families)
        self.agents = AgentNumbers(self.families)
        self.work = WorkNumbers(self.families)
        self.cluster = ClusterNumbers(self.families)
        self.logs = LogNumbers(self.families)
        self.exports = ExportNumbers(self.families)
        ProcessCollector(registry=self.registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The scrape and its content type; OpenMetrics if `accept`, an HTTP Accept header, asks for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
