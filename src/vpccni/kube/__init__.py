"""Kubernetes objects the agent reads and writes."""
