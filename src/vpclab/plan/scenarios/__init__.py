"""Scenarios that answer the questions of EKS's best practices; `vpc-cni plan NAME` runs one."""
