"""The paper's measurements."""
