"""A Kubernetes for one machine: `fake` (in this process), and its helpers for tests and demos."""
