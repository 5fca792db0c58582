"""Log lines of one agent, folded into an AgentLog: one module for each output format."""
