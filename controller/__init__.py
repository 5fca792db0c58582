"""runherd: a Kubernetes controller that looks after runs of AI coding agents."""

from typing import Final

VERSION: Final = "0.1.0"
