"""The demo: fourteen runs of six agents on a cluster, watched from Queued to their traces.

__main__   the command line, exit codes
play       the course of one demo, from the first object to the last check
cluster    where it runs: a fake cluster in this process, or that of KUBECONFIG
controller the controller, as a process of its own
apiserver  calls to the API server; the only module that knows kr8s
submit     manifests of `examples/runs`, made into this round's Jobs
host       what a host does while its runs go on: submits more, cancels
seen       a Job -> what a host reads from it
board      all runs of a round, as they are seen changing
outcome    what has to come out, and whether it did
live       what is shown while it runs
table      tables of runs
tree       a span tree as text
ending     what is shown at the end: results, tree, what to try next
trouble    errors that are told without a traceback
"""
