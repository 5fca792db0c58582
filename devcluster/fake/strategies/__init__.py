"""What is special about each kind when it is written: defaults, validation, deletion."""

from devcluster.fake.resources import EVENT_V1, Resource
from devcluster.fake.strategies.job import JobStrategy
from devcluster.fake.strategies.objects import (
    ConfigMapStrategy,
    EventStrategy,
    LeaseStrategy,
    NamespaceStrategy,
    NewEventStrategy,
    NodeStrategy,
    SecretStrategy,
)
from devcluster.fake.strategies.plain import Strategy
from devcluster.fake.strategies.pod import PodStrategy

_STRATEGIES: dict[str, Strategy] = {
    "jobs": JobStrategy(),
    "pods": PodStrategy(),
    "events": EventStrategy(),
    "leases": LeaseStrategy(),
    "secrets": SecretStrategy(),
    "configmaps": ConfigMapStrategy(),
    "namespaces": NamespaceStrategy(),
    "nodes": NodeStrategy(),
}
_NEW_EVENTS = NewEventStrategy()


def strategy_of(resource: Resource) -> Strategy:
    """The rules of a resource."""
    return _NEW_EVENTS if resource is EVENT_V1 else _STRATEGIES[resource.plural]
