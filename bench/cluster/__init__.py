"""What the controller costs and how fast it is on a real control plane: `python -m bench.cluster`.

__main__     the command line, exit codes
course       the course of one bench: what is measured after what, and the end of all that was made
place        where: a cluster of our own, brought up and taken down, or that of a kubeconfig
client       calls to the API server; the only module that knows its transport
watching     the moments of each run's steps, as a watch of Jobs shows them
runs         manifests of Jobs, and the pace in which they are created
node         the kubelet's part, played by a process of its own: pods start, work, end
node_pods    what a kubelet writes about a pod             node_logs   its log endpoint
controlled   the controller as a process of its own: start, cost, size, end
counted      what the API server and the controller count themselves
throughput   runs a second with and without the controller
latency      event to annotation beside one bare PATCH, patches and CPU of a run
burst        suspended Jobs that come all at once
tracked      what the controller occupies when it knows many runs
"""
