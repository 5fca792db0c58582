"""What this program costs, measured beside what one would write with kr8s and the standard library alone.

__main__      the command line; one measure after another
figure        a figure with its baseline and its aim; how much is measured; interleaved rounds
report        figures as a table, as text, as JSON
machine       what this was measured on
events        watch events decoded and stored, in memory
streams       the same over a socket, from a server in a process of its own (`replay`)
memory        what a tracked run occupies, in a process of its own (`tracked`)
plans         reconcile() on slots of several kinds
folds         lines of a transcript folded
traces        spans built and encoded
latency       a controller on a fake cluster, each a process of its own (`stage`)

shapes        the JSON of a Job and of a Pod                 objects      both of any run, and their events
transcripts   what an agent prints
scenes        slots as the store hands them out              wiring       informers and store, no cluster
peer          the same with kr8s' own objects                workload     runs submitted to the fake cluster
commits       what was written when, read from the cluster   processes    programs started and asked for JSON
"""
