"""The commands of rd-inspect, and what they share."""
