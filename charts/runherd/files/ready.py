"""Asks every controller of this release whether it is ready, and that one of them leads. For `helm test`.

Finds the pods through the API server, because not every cluster has DNS. If not so, it says why and exits 1.
Arguments: namespace, label selector, port.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECONDS = 60
ENDED = ("Succeeded", "Failed")


def listed(namespace, selector):
    """The pods of a selector."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    query = urllib.parse.urlencode({"labelSelector": selector})
    request = urllib.request.Request(
        f"https://{host}:{port}/api/v1/namespaces/{namespace}/pods?{query}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text().strip()}"},
    )
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=trusted) as reply:
        return json.load(reply)["items"]


def meant(pods):
    """Addresses by names; not of pods that have ended (an evicted one stays listed) or are about to."""
    return {
        pod["metadata"]["name"]: pod["status"].get("podIP", "")
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] not in ENDED
    }


def ask(address, port, path):
    """Status and body of one page; 0 and the reason if there was no answer."""
    host = f"[{address}]" if ":" in address else address
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def trouble(namespace, selector, port):
    """What is not as it should be, a line each."""
    found = meant(listed(namespace, selector))
    told, leading = [], 0
    for name, address in sorted(found.items()):
        code, body = ask(address, port, "/readyz")
        if code == 200:
            print(f"{name} is ready: {' · '.join(body.split(chr(10))).strip(' ·')}")
        else:
            told.append(f"{name} is not ready ({code}): {body}")
        leading += "runherd_lease_held 1.0" in ask(address, port, "/metrics")[1]
    if not found:
        told.append(f"no pod of {selector} in {namespace}")
    if leading != 1:
        told.append(f"{leading} controllers lead; it must be one")
    return told


def main():
    """Looks again until all is well, or time is up."""
    until = time.monotonic() + SECONDS
    while told := trouble(*sys.argv[1:]):
        if time.monotonic() > until:
            sys.exit("\n".join(told))
        time.sleep(2)
    print("one of them leads")


if __name__ == "__main__":
    main()
