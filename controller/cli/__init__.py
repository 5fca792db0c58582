"""`runherd`, the command for people: a run's trace, from what is left of the run on the cluster.

Reads only, with the rights of who calls it. Never: speaks to the controller, or needs one to be there.
"""
