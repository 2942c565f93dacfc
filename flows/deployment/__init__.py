"""What a plant's Prefect server needs: checked deployments, and automations."""
