"""What a Prefect server of a plant is given: deployments that can run, and automations."""
