"""Prefect flows and the command line: orchestration, and the only readers of settings."""

from tasks.worker.traces import begin_traces

begin_traces()  # before the first flow run has its span, which Prefect opens ahead of any code of ours
