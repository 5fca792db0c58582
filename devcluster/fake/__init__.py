"""The fake cluster: an API server, a Job controller and a process kubelet in one process.

What it models it models as Kubernetes 1.36 does; most of what it does not model it refuses with 501. It plays
the scenarios of `devcluster/conformance` as a real cluster does, but for those listed there. Known to differ:

* No authentication, authorization or admission webhooks; no managedFields and no server-side apply (501).
* Unknown fields are kept as they are, also under fieldValidation=Strict; Events never expire.
* Jobs have one completion mode and no policies; their controller acts at once, not in batches of a second.
* Containers are processes of this machine's user: images have no content, a container needs a command (else
  it ends as StartError), and mount paths are replaced by real folders in command, args and variables. Memory
  is looked at fifty times a second. Fields without effect: `strategies/pod_template.py`.
* Objects owned by kinds that are not served here are never collected.
"""

from devcluster.fake.cluster import FakeCluster, Options
from devcluster.fake.errors import ApiError
from devcluster.fake.faults import Faults, Refusal
from devcluster.fake.job_view import Backoff
from devcluster.fake.pod_worker import Timing
from devcluster.fake.storage import Write

__all__ = ["ApiError", "Backoff", "FakeCluster", "Faults", "Options", "Refusal", "Timing", "Write"]
