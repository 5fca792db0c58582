"""A real one-node Kubernetes on this machine: etcd, control plane, kubelet and containerd, without Docker.

The programs of Kubernetes are one binary built from source (`kubernetes/`), the rest comes from packages of
the system. Several clusters stand side by side, each in a network namespace of its own. Not as elsewhere:

* No kube-proxy: of all services only `kubernetes` has an address that works. Pods reach each other, the API
  server and the host by address, and the host reaches them.
* No DNS; a query is refused at once. No way out of the machine, so images are imported, never pulled.
* etcd does not wait for the disk. Log files rotate at 1 MiB, containers restart after one second at most.
"""
