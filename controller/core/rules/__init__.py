"""What to do: each rule in the module of its concern. `core/reconcile.py` has the ordered list."""
