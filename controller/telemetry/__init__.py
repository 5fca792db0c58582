"""Talks to observability: traces, metrics, probes. Decides nothing and never touches the cluster."""
