"""Talks to Kubernetes: lists, watches, reads logs, holds the lease, carries out actions. Decides nothing."""
